import assert from 'node:assert/strict';
import test from 'node:test';
import { Parts } from './parts.ts';

test('parts are stopped in reverse, all of them, and the first failure is told', async () => {
  const parts = new Parts();
  const stopped: string[] = [];
  const part = (name: string, fails = false) =>
    parts.started(() => {
      stopped.push(name);
      if (fails) throw new Error(name);
    });
  part('a');
  part('b', true);
  part('c', true);
  assert.equal(parts.stopping, false);
  await assert.rejects(parts.stop(), /^Error: c$/);
  assert.equal(parts.stopping, true);
  assert.deepEqual(stopped, ['c', 'b', 'a']);
  await assert.rejects(parts.stop(), /^Error: c$/);
  assert.deepEqual(stopped, ['c', 'b', 'a'], 'once');
});

test('what was started while the others were being stopped is stopped, too', async () => {
  const parts = new Parts();
  const stopped: string[] = [];
  const gate = Promise.withResolvers<undefined>();
  parts.started(async () => {
    await gate.promise;
    stopped.push('first');
  });
  const first = parts.stop();
  parts.started(() => void stopped.push('late'));
  gate.resolve(undefined);
  await first;
  parts.started(() => void stopped.push('later'));
  await parts.stop();
  assert.deepEqual(stopped, ['first', 'late', 'later']);
});
