import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Dialer } from '../agent/dialer.ts';
import { viewerConnect } from '../agent/logs-socket.ts';
import { serveViewers } from '../relay/api/keruta/viewer.fixture.ts';
import { openReading, TestRun } from '../relay/reading.fixture.ts';
import type { SubscribeOptions } from '../shared/viewer-messages.ts';
import type { TailConnect, TailSocketEvents } from './tail-connection.ts';
import { tail, TailError, type TailEvent } from './tail.ts';

const BACKOFF = { minMs: 1, maxMs: 10 };

/** A small generator of numbers below 1 that a failing test can repeat (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

for (const seed of [1, 2, 3]) {
  test(`a flood through random reconnects brings every line once and in order (seed ${seed})`, async (t) => {
    const random = seeded(seed);
    const reading = await openReading(t);
    const run = await new TestRun(reading, 't').open();
    const { url, server } = await serveViewers(t, reading);
    const total = 30_000;
    let written = 0;
    const write = async (lines: number): Promise<void> => {
      const texts = Array.from({ length: Math.min(lines, total - written) }, (_, i) => `line ${written + i + 1}`);
      written += texts.length;
      await run.write(...texts);
    };
    // History, then the flood, with gaps in both.
    while (written < total / 3) await write(1 + Math.floor(random() * 2000));
    const flood = (async () => {
      while (written < total) {
        await write(1 + Math.floor(random() * random() * 500));
        if (random() < 0.15) for (const client of server.clients) client.terminate();
        if (random() < 0.1) await turn();
      }
      await run.gap(7);
      await run.end(5);
    })();
    const seen: string[] = [];
    const events = tail({
      connect: viewerConnect({
        urls: [url],
        task: 't',
        dialer: new Dialer({ connectTimeoutMs: 5000 }),
        timeoutMs: 5000,
      }),
      from: 'start',
      backoff: BACKOFF,
      random,
    });
    let lags = 0;
    read: for await (const group of events) {
      for (const event of group) {
        if (event.type === 'log') seen.push(`${event.lineNumber} ${event.message}`);
        if (event.type === 'gap') seen.push(`gap ${event.fromLine}-${event.toLine}`);
        if (event.type === 'lag') lags++;
        if (event.type === 'end') break read;
      }
    }
    await flood;
    const expected = Array.from({ length: total }, (_, i) => `${i + 1} line ${i + 1}`);
    assert.deepEqual(seen, [...expected, `gap ${total + 1}-${total + 7}`]);
    assert.ok(lags > 0);
  });
}

/** A relay in a few lines: what each connection says is written by the test. */
class ScriptedRelay {
  readonly subscribes: SubscribeOptions[] = [];
  readonly #script: ((events: TailSocketEvents) => void)[];
  paused = 0;

  constructor(...script: ((events: TailSocketEvents) => void)[]) {
    this.#script = script;
  }

  readonly connect: TailConnect = (events) => {
    const act = this.#script.shift();
    setImmediate(() => {
      events.open();
      act?.(events);
    });
    return {
      send: (text) => {
        const said = JSON.parse(text) as { type: string; options: SubscribeOptions };
        if (said.type === 'subscribe') this.subscribes.push(said.options);
      },
      close: () => undefined,
    };
  };
}

const BROKEN = { retry: true, problem: 'the connection broke' };

function log(lineNumber: number): string {
  return JSON.stringify({ type: 'log', id: `id${lineNumber}`, lineNumber, message: `${lineNumber}` });
}

/** Types and numbers of what comes until the tail ends or throws. */
async function collect(relay: ScriptedRelay, options: Partial<SubscribeOptions> = {}): Promise<string[]> {
  const seen: string[] = [];
  const show = (event: TailEvent): string => (event.type === 'log' ? `log ${event.lineNumber}` : event.type);
  try {
    for await (const group of tail({ ...options, connect: relay.connect, backoff: BACKOFF }))
      seen.push(...group.map(show));
  } catch (error) {
    assert.ok(error instanceof TailError);
    seen.push(`${error.code ?? 'closed'}: ${error.message}`);
  }
  return seen;
}

test('it comes back behind the last line, to the place that a ping named, and behind a gap', async () => {
  const relay = new ScriptedRelay(
    (on) => {
      on.message('{"type":"subscribed","cursor":"c1"}');
      on.closed(BROKEN);
    },
    (on) => {
      on.message(`[${log(1)},${log(2)}]`);
      on.closed(BROKEN);
    },
    (on) => {
      on.message('{"type":"ping","cursor":"c7"}');
      on.closed(BROKEN);
    },
    (on) => {
      on.message('{"type":"gap","fromLine":7,"toLine":8,"cursor":"c9"}');
      on.closed(BROKEN);
    },
    (on) => on.message('{"type":"unsubscribed"}'),
  );
  const seen = await collect(relay, { tail: 5, q: 'x' });
  assert.deepEqual(seen, ['subscribed', 'lag', 'log 1', 'log 2', 'lag', 'lag', 'gap', 'lag']);
  assert.deepEqual(relay.subscribes, [
    { q: 'x', batch: true, tail: 5 },
    { q: 'x', batch: true, from: 'c1' },
    { q: 'x', batch: true, after: 'id2' },
    { q: 'x', batch: true, from: 'c7' },
    { q: 'x', batch: true, from: 'c9' },
  ]);
});

test('an end that is said again after a reconnect is told once', async () => {
  const end = '{"type":"end","cursor":"c3","runs":1}';
  const relay = new ScriptedRelay(
    (on) => {
      on.message(end);
      on.closed(BROKEN);
    },
    (on) => {
      on.message(end);
      on.message('{"type":"end","cursor":"c3","runs":2}');
      on.message('{"type":"unsubscribed"}');
    },
  );
  assert.deepEqual(await collect(relay), ['end', 'lag', 'end']);
});

test('when the store was replaced it goes on by line number, and says so', async () => {
  const refusal = '{"type":"error","code":"INVALID_CURSOR","message":"another store"}';
  const relay = new ScriptedRelay(
    (on) => {
      on.message(log(41));
      on.closed(BROKEN);
    },
    (on) => on.message(refusal),
    (on) => {
      on.message(log(42));
      on.message('{"type":"unsubscribed"}');
    },
  );
  assert.deepEqual(await collect(relay), ['log 41', 'lag', 'reset', 'log 42']);
  assert.equal(relay.subscribes[2].from, 42);
  const asked = new ScriptedRelay((on) => on.message(refusal));
  assert.deepEqual(await collect(asked, { from: 'old' }), ['INVALID_CURSOR: another store']);
});

test('a refusal that will not change is thrown', async () => {
  const relay = new ScriptedRelay((on) => on.closed({ retry: false, problem: 'wrong token' }));
  assert.deepEqual(await collect(relay), ['closed: wrong token']);
});

test('what a slow reader has not taken is bounded: the tail comes back for it', async () => {
  const big = JSON.stringify({ type: 'log', id: 'id1', lineNumber: 1, message: 'x'.repeat(5 * 1024 * 1024) });
  const relay = new ScriptedRelay(
    (on) => {
      on.message(big);
      on.message(log(2));
    },
    (on) => {
      on.message(log(2));
      on.message('{"type":"unsubscribed"}');
    },
  );
  assert.deepEqual(await collect(relay), ['log 1', 'log 2']);
  assert.equal(relay.subscribes[1].after, 'id1');
});

test('an abort ends it, whether it waits for the relay or to try again', async () => {
  for (const act of [() => undefined, (on: TailSocketEvents) => on.closed(BROKEN)]) {
    const abort = new AbortController();
    const relay = new ScriptedRelay(act);
    const reason = new Error('enough');
    const ended = (async () => {
      for await (const group of tail({
        connect: relay.connect,
        signal: abort.signal,
        backoff: { minMs: 1e6, maxMs: 1e6 },
      })) {
        assert.equal(group[0].type, 'lag');
      }
    })();
    for (let i = 0; i < 5; i++) await turn();
    abort.abort(reason);
    await assert.rejects(ended, reason);
  }
});

test('a relay that falls silent is left', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const relay = new ScriptedRelay(
    () => undefined,
    (on) => on.message('{"type":"unsubscribed"}'),
  );
  const seen = collect(relay);
  for (let i = 0; i < 5; i++) await turn();
  t.mock.timers.tick(29_000);
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(relay.subscribes.length, 1);
  t.mock.timers.tick(2000);
  assert.deepEqual(await seen, ['lag']);
});
