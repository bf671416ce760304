import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';

function terminal(isTTY: boolean) {
  const written: string[] = [];
  const out = { isTTY, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  return { out, written };
}

test('a terminal shows one line, ten times a second at most, which goes in the end', () => {
  const { out, written } = terminal(true);
  let now = 1000;
  const progress = new Progress('copying', { out, now: () => now });
  progress.show(1, 3);
  progress.show(2, 3);
  now += 100;
  progress.show(3, 3);
  progress.clear();
  progress.clear();
  assert.deepEqual(written, ['\r\x1b[Kcopying 33 %', '\r\x1b[Kcopying 100 %', '\r\x1b[K']);
});

test('a pipe shows nothing', () => {
  const { out, written } = terminal(false);
  const progress = new Progress('copying', { out });
  progress.show(1, 2);
  progress.clear();
  assert.deepEqual(written, []);
});
