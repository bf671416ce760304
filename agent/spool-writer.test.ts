import assert from 'node:assert/strict';
import { beforeEach, describe, test, type TestContext } from 'node:test';
import { RecordQueue } from './delivery-queue.ts';
import type { SpoolBatch, SpoolEnd } from './spool-contract.ts';
import { SpoolHealth } from './spool-health.ts';
import { EMPTY_CHAIN } from './spool-record.ts';
import { SpoolWriter } from './spool-writer.ts';
import { Spool } from './spool.ts';

const LARGE = 20_000;
const END: SpoolEnd = { exitCode: 0, signal: null, reason: 'exited', endedAt: 1 };

describe('a writer of a spool', () => {
  let queue: RecordQueue;
  let batches: number[][];
  let end: SpoolEnd | undefined;
  let urgent: boolean;
  let writer: SpoolWriter;

  /** A record of so many bytes comes, and all that can be written at once is. */
  async function put(bytes: number): Promise<void> {
    const record = { firstSeq: queue.nextSeq, count: 1, lines: 1, textBytes: 1, crc: 0, bytes: Buffer.alloc(bytes) };
    queue.push(record);
    writer.write();
    await answered();
  }

  async function answered(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  beforeEach((context) => {
    (context as TestContext).mock.timers.enable({ apis: ['setTimeout'] });
    queue = new RecordQueue();
    batches = [];
    end = undefined;
    urgent = false;
    const health = new SpoolHealth({ path: '', onChange: noop, onRetry: noop, onWarning: noop });
    health.opened();
    const spool = new Spool();
    spool.write = ({ records }: SpoolBatch) => {
      batches.push(records.map((record) => record.length));
      return Promise.resolve(0);
    };
    const state = () => ({ queue, acked: EMPTY_CHAIN, epoch: undefined, end, urgent });
    const onWritten = () => writer.write();
    writer = new SpoolWriter({ spool, health, limitBytes: Infinity, state, onWritten, onRewritten: noop });
  });

  test('writes small batches as soon as they come', async () => {
    for (const bytes of [100, 200, 300]) await put(bytes);
    assert.deepEqual(batches, [[100], [200], [300]]);
  });

  test('lets what comes soon after a large one gather', async (context) => {
    for (const bytes of [LARGE, 200, LARGE]) await put(bytes);
    assert.deepEqual(batches, [[LARGE]]);
    context.mock.timers.tick(8);
    await answered();
    assert.deepEqual(batches, [[LARGE], [200, LARGE]]);
  });

  test('rests after a large one no longer than that', async (context) => {
    await put(LARGE);
    context.mock.timers.tick(8);
    await put(100);
    await put(200);
    assert.deepEqual(batches, [[LARGE], [100], [200]]);
  });

  const hurries: { what: string; begin: () => unknown }[] = [
    { what: 'the script waits', begin: () => (urgent = true) },
    { what: 'the run has ended', begin: () => (end = END) },
    { what: 'it is the last of it', begin: () => void writer.finish({ unverified: false }) },
  ];
  for (const { what, begin } of hurries) {
    test(`does not rest when ${what}`, async () => {
      await put(LARGE);
      begin();
      await put(100);
      assert.deepEqual(batches.flat(), [LARGE, 100]);
    });
  }

  test('does not let half a batch and more wait', async () => {
    await put(LARGE);
    for (let i = 0; i < 30; i++) await put(LARGE);
    assert.deepEqual(
      batches.map((records) => records.length),
      [1, 26],
    );
  });
});

function noop(): void {
  // Nobody listens.
}
