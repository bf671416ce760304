import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { StoreWorker } from './sqlite-worker.ts';

for (const [how, script] of [
  ['throws', 'throw new Error("boom")'],
  ['exits', 'process.exit(3)'],
  ['throws later', 'require("node:worker_threads").parentPort.on("message", () => { throw new Error("boom") })'],
] as const) {
  test(`a worker that ${how} is known to have died, and why`, async () => {
    const worker = new StoreWorker(new Worker(script, { eval: true }));
    worker.post({ type: 'anything' });
    const error = await worker.died;
    assert.deepEqual([error.reason, error.retry], ['crashed', false]);
    assert.match(error.message, /boom|it ended with code 3/);
    // Both come to an end though there is nobody left to ask.
    await worker.close({ type: 'close' });
    await worker.terminate();
  });
}
