import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drain, type DrainPatience, type DrainState } from './delivery-drain.ts';

const ADAPTIVE = { idleMs: 10_000, unreachedMs: 1000 };

/** What happens (state changes at ms since the start), and when the drain is over. */
const rows: { what: string; patience: DrainPatience; changes: [number, Partial<DrainState>][]; overAt: number }[] = [
  { what: 'never reached', patience: ADAPTIVE, changes: [], overAt: 1000 },
  { what: 'reached, then silent', patience: ADAPTIVE, changes: [[500, { reached: true }]], overAt: 10_500 },
  { what: 'reached before, silent', patience: ADAPTIVE, changes: [[0, { reached: true }]], overAt: 10_000 },
  {
    what: 'progress gives more time',
    patience: ADAPTIVE,
    changes: [
      [0, { reached: true }],
      [9000, { progress: 1 }],
      [18_000, { progress: 2 }],
      [20_000, {}],
    ],
    overAt: 28_000,
  },
  { what: 'delivered', patience: ADAPTIVE, changes: [[700, { over: true }]], overAt: 700 },
  { what: 'delivered already', patience: ADAPTIVE, changes: [[0, { over: true }]], overAt: 0 },
  {
    what: 'a total is a total',
    patience: { totalMs: 3000 },
    changes: [
      [0, { reached: true }],
      [2000, { progress: 1 }],
    ],
    overAt: 3000,
  },
];

for (const { what, patience, changes, overAt } of rows) {
  test(`${what}: over after ${overAt} ms`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const state: DrainState = { over: false, reached: false, progress: 0 };
    const due = [...changes];
    while (due.length > 0 && due[0][0] === 0) Object.assign(state, due.shift()?.[1]);
    const drain = new Drain(() => state, patience);
    const seen: string[] = [];
    void drain.over.then(() => seen.push('over'));
    for (let ms = 0; ; ms += 100) {
      while (due.length > 0 && due[0][0] === ms) {
        Object.assign(state, due.shift()?.[1]);
        drain.update();
      }
      await Promise.resolve();
      if (seen.length > 0 || ms > 60_000) {
        assert.equal(ms, overAt);
        return;
      }
      t.mock.timers.tick(100);
    }
  });
}

test('an abort ends it, also one that came before', async () => {
  const abort = new AbortController();
  const drain = new Drain(() => ({ over: false, reached: true, progress: 0 }), ADAPTIVE, abort.signal);
  abort.abort();
  await drain.over;
  await new Drain(() => ({ over: false, reached: true, progress: 0 }), ADAPTIVE, abort.signal).over;
});
