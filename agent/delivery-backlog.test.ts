import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { encodeChunk } from '../shared/chunk.ts';
import { encodeLines } from '../shared/columns.ts';
import { Backlog, type BacklogOptions } from './delivery-backlog.ts';
import { lineText, lineTexts, testFolder } from './delivery.fixture.ts';
import { linesOf } from './fake-relay.ts';
import { advance, type Chain } from './spool-record.ts';
import { Spool } from './spool.ts';

const RUN = '01J00000000000000000000000';

class Harness {
  readonly backlog: Backlog;
  readonly spool = new Spool();
  readonly warnings: string[] = [];
  #waiters: (() => void)[] = [];

  constructor(t: TestContext, folder: string, more: Partial<BacklogOptions> = {}) {
    this.backlog = new Backlog({
      spool: this.spool,
      path: join(folder, 'x.spool'),
      meta: { task: 't', run: RUN, url: '', workerId: 'w', labels: {}, agentVersion: '1', startedAt: 1 },
      spoolLimitBytes: 1 << 30,
      memoryLimitBytes: 16 << 20,
      overflow: 'drop-oldest',
      onWarning: (text) => this.warnings.push(text),
      now: () => 7,
      ...more,
    });
    this.backlog.onChange = () => {
      for (const resolve of this.#waiters.splice(0)) resolve();
    };
    this.backlog.start();
    t.after(() => this.backlog.close('keep'));
  }

  put(count: number, width = 0): void {
    const { nextSeq } = this.backlog;
    const lines = Array.from({ length: count }, (_, i) => ({
      time: 1,
      kind: 4,
      text: Buffer.from(lineText(nextSeq + i, width)),
    }));
    this.backlog.put(encodeLines(RUN, nextSeq, lines));
  }

  async until(is: () => boolean): Promise<void> {
    // The worker does not keep the process alive, and neither does a test that waits for it.
    const alive = setInterval(() => undefined, 1 << 30);
    while (!is()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    clearInterval(alive);
  }

  /** Takes everything, as an uplink would whose relay acknowledges at once. */
  async drain(chain: Chain, onRecord: (bytes: Buffer) => void): Promise<void> {
    while (this.backlog.acked.seq < this.backlog.nextSeq) {
      const record = this.backlog.next();
      if (!record) {
        await this.until(() => this.backlog.cursor < this.backlog.nextSeq);
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      onRecord(record.bytes);
      chain = advance(chain, record);
      this.backlog.setAcked(chain);
    }
  }
}

test('a gap that comes with the end is in the spool with it, or not at all', async (t) => {
  const harness = new Harness(t, testFolder(t));
  const { backlog, spool } = harness;
  harness.put(3);
  backlog.begin();
  await harness.until(() => backlog.spooled);
  const write = t.mock.method(spool, 'write');
  backlog.setEnd(
    { exitCode: null, signal: null, reason: 'agent-died', endedAt: 1 },
    { reason: 'agent-died', count: 1 },
  );
  await harness.until(() => backlog.spooled);
  const batches = write.mock.calls.map(({ arguments: [{ records, end }] }) => [records.length, end?.reason]);
  assert.deepEqual(batches, [[1, 'agent-died']]);
});

for (const [what, breakIt] of [
  ['takes nothing in any more', () => Promise.resolve()],
  [
    "can't even be opened any more",
    async ({ spool, backlog: { meta } }: Harness, path: string) => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix);
      writeFileSync(path, 'no database'.repeat(1000));
      await assert.rejects(spool.open({ path, meta }));
    },
  ],
] as const) {
  test(`a spool that ${what} goes all the same when the relay has everything`, async (t) => {
    const folder = testFolder(t);
    const harness = new Harness(t, folder);
    const { backlog, spool } = harness;
    harness.put(3);
    backlog.begin();
    await harness.until(() => backlog.spooled);
    t.mock.method(spool, 'write', () => Promise.reject(new Error('disk full')));
    harness.put(1);
    await harness.until(() => backlog.spoolProblem !== undefined);
    await breakIt(harness, join(folder, 'x.spool'));
    await backlog.close('destroy');
    assert.deepEqual(readdirSync(folder), []);
  });
}

test('a backlog of 200 MB stays out of memory, and comes back in order', async (t) => {
  const harness = new Harness(t, testFolder(t));
  const { backlog } = harness;
  const body = Buffer.alloc(28_000, 'x');
  const counts = new Uint16Array(12);
  counts[1] = 100;
  let most = 0;
  while (backlog.nextSeq < 7_000 * 100) {
    const fields = {
      run: RUN,
      firstSeq: backlog.nextSeq,
      count: 100,
      flags: 0,
      minTime: 1,
      maxTime: 1,
      textBytes: 20_000,
      counts,
    };
    backlog.put(encodeChunk(fields, 1, 30_000, body));
    most = Math.max(most, backlog.memoryBytes);
    if (backlog.full) await harness.until(() => !backlog.full);
  }
  await harness.until(() => backlog.spooled);
  assert.ok(backlog.memoryBytes <= 8 << 20, `${backlog.memoryBytes}`);
  let nextSeq = 0;
  await harness.drain(backlog.acked, (bytes) => {
    assert.equal(bytes.readUIntLE(24, 6), nextSeq);
    nextSeq += 100;
    most = Math.max(most, backlog.memoryBytes);
  });
  assert.equal(nextSeq, 700_000);
  assert.ok(most <= 18 << 20, `${most}`);
  assert.deepEqual(harness.warnings, []);
});

test('more lines than may wait for the spool hold the script up, until the spool has them', async (t) => {
  const harness = new Harness(t, testFolder(t), { bufferLines: 250 });
  const { backlog } = harness;
  harness.put(200);
  assert.equal(backlog.full, false);
  harness.put(100);
  assert.equal(backlog.full, true);
  await harness.until(() => backlog.spooled);
  assert.equal(backlog.full, false);
});

test('a worker that dies is replaced, and nothing is missing or doubled', async (t) => {
  const harness = new Harness(t, testFolder(t));
  const { backlog, spool } = harness;
  harness.put(10);
  await harness.until(() => backlog.spooled);
  harness.put(10);
  await spool.terminate();
  harness.put(10);
  await harness.until(() => backlog.spoolProblem !== undefined);
  harness.put(10);
  await harness.until(() => backlog.spooled && backlog.spoolProblem === undefined);
  const records = await spool.read(0, 1 << 20);
  assert.deepEqual(linesOf(records.map(({ bytes }) => bytes)), lineTexts(0, 39));
  assert.equal(harness.warnings.length, 1);
});

test('what was acknowledged while the spool did not work is not spooled any more', async (t) => {
  const harness = new Harness(t, testFolder(t));
  const { backlog, spool } = harness;
  harness.put(10);
  await harness.until(() => backlog.spooled);
  await spool.terminate();
  harness.put(10);
  await harness.until(() => backlog.spoolProblem !== undefined);
  const sent: Buffer[] = [];
  await harness.drain(backlog.acked, (bytes) => sent.push(bytes));
  harness.put(10);
  await harness.until(() => backlog.spooled && backlog.spoolProblem === undefined);
  assert.deepEqual(linesOf(sent), lineTexts(0, 19));
  const records = await spool.read(0, 1 << 20);
  assert.deepEqual(linesOf(records.map(({ bytes }) => bytes)), lineTexts(20, 29));
  assert.deepEqual(await backlog.chainAt(20), backlog.acked);
});

test('a full disk: the log goes on from memory, and into the spool again when there is room', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-small-'));
  let mounted = false;
  t.after(() => {
    if (mounted) execFileSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true });
  });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    mounted = true;
  } catch {
    t.skip('a small file system can be mounted by root only');
    return;
  }
  const harness = new Harness(t, folder, { memoryLimitBytes: 1 << 20 });
  const { backlog } = harness;
  for (let i = 0; i < 40; i++) {
    harness.put(100, 1000);
    await harness.until(() => backlog.spooled || backlog.spoolProblem !== undefined);
  }
  assert.match(harness.warnings[0], /can't be written \(database or disk is full\)/);
  assert.ok(backlog.missing > 0);
  assert.ok(backlog.memoryBytes < 2 << 20, `${backlog.memoryBytes}`);
  const sent: Buffer[] = [];
  await harness.drain(backlog.acked, (bytes) => sent.push(bytes));
  const lines = linesOf(sent);
  const gap = lines.findIndex((line) => line.startsWith('[dropped'));
  const last = Number(/-(\d+)\]/.exec(lines[gap])?.[1]);
  assert.deepEqual(lines, [
    ...lineTexts(0, gap - 1, 1000),
    `[dropped ${gap}-${last}]`,
    ...lineTexts(last + 1, 3999, 1000),
  ]);
  execFileSync('mount', ['-o', 'remount,size=16m', folder]);
  harness.put(1);
  await harness.until(() => backlog.spooled && backlog.spoolProblem === undefined);
});
