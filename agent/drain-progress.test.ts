import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { DrainProgress, drainSentence } from './drain-progress.ts';

describe('what is left to be sent', () => {
  const rows: [left: number, atFirst: number, ms: number, sentence: string][] = [
    [12_000, 20_000, 2000, 'keruta-agent: 12,000 lines to be sent, 4,000 a second'],
    [1, 1, 600, 'keruta-agent: 1 line to be sent'],
    [0, 20_000, 2000, 'keruta-agent: waiting for the relay to confirm that it has everything'],
  ];
  for (const [left, atFirst, ms, sentence] of rows) {
    test(sentence, () => assert.equal(drainSentence(left, atFirst, ms), sentence));
  }
});

function watched(context: TestContext, isTTY: boolean) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  let written = '';
  const progress = new DrainProgress(
    { isTTY, write: (text) => (written += text) },
    () => 7,
    () => now,
  );
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i += 100) {
      now += 100;
      context.mock.timers.tick(100);
    }
  };
  return { progress, pass, written: () => written };
}

test('a terminal shows it only when it takes a while, and is clean again afterwards', (t) => {
  const { progress, pass, written } = watched(t, true);
  pass(400);
  assert.equal(written(), '');
  pass(400);
  assert.match(written(), /7 lines to be sent/);
  progress.stop();
  assert.ok(written().endsWith('\r\u001b[K'));
});

test('a short drain leaves no trace', (t) => {
  const { progress, pass, written } = watched(t, true);
  pass(400);
  progress.stop();
  assert.equal(written(), '');
});

test('a pipe gets nothing', (t) => {
  const { progress, pass, written } = watched(t, false);
  pass(5000);
  progress.stop();
  assert.equal(written(), '');
});
