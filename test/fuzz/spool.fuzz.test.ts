import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { cat } from '../../agent/cat.ts';
import { flushTask, type FlushedRun } from '../../agent/flush.ts';
import { SpoolFile } from '../../agent/spool-file.ts';
import { listSpools, spoolPath } from '../../agent/spool-folder.ts';
import { relayConfig } from '../../relay/relay-config.fixture.ts';
import { startRelay, type Relay } from '../../relay/relay.ts';
import { checkCrc, CHUNK_HEADER_BYTES, encodeGap, readHeader } from '../../shared/chunk.ts';
import { encodeLines } from '../../shared/columns.ts';
import { newUlid } from '../../shared/ulid.ts';
import { hunt } from './hunt.ts';
import { mutations, type Mutation } from './mutations.ts';

const CHUNKS = 12;
const LINES = 10;
const GAP_AT = 5;
let folder: string;
let relay: Relay;
let cases = 0;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keruta-spool-fuzz-'));
  relay = await startRelay(relayConfig({ dataDir: join(folder, 'data') }));
});
after(async () => {
  await relay.stop();
  rmSync(folder, { recursive: true });
});

/** What a dead agent left: lines that name their place, with a gap among them. */
function leave(ended: boolean): { spoolDir: string; task: string; path: string } {
  const task = `t${++cases}`;
  const [spoolDir, run] = [join(folder, task), newUlid(Date.now())];
  mkdirSync(spoolDir);
  const path = spoolPath(spoolDir, run, task);
  const url = `${relay.url.replace('http', 'ws')}/ws/tasks`;
  const spool = SpoolFile.create(path, { task, run, url, workerId: 'w', labels: {}, agentVersion: '0', startedAt: 1 });
  const records = Array.from({ length: CHUNKS }, (_, chunk) => {
    const firstSeq = chunk * LINES;
    if (chunk === GAP_AT) return encodeGap({ run, firstSeq, count: LINES, reason: 'dropped', time: 1 });
    return encodeLines(
      run,
      firstSeq,
      Array.from({ length: LINES }, (_line, i) => ({ time: 1, kind: 4, text: Buffer.from(textOf(firstSeq + i)) })),
    );
  });
  const end = { exitCode: 0, signal: null, reason: 'exited' as const, endedAt: 9 };
  spool.write({ limitBytes: Infinity, records, ...(ended && { end }) });
  spool.close();
  return { spoolDir, task, path };
}

function textOf(seq: number): string {
  return `line ${seq} ${'abc '.repeat(seq % 60)}.`;
}

const whole = Array.from({ length: CHUNKS * LINES }, (_, seq) => textOf(seq));

/** What is done to the rows of a spool. */
type Damage =
  | { what: 'bytes'; row: number; sealed: boolean; mutate: Mutation }
  | { what: 'column'; row: number; column: string; value: number }
  | { what: 'gone'; row: number }
  | { what: 'stub'; row: number }
  | { what: 'meta'; mutate: Mutation }
  | { what: 'table'; table: string };
const row = fc.nat(CHUNKS - 1);
const damage: fc.Arbitrary<Damage> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('bytes' as const), row, sealed: fc.boolean(), mutate: mutations([]) }),
  },
  fc.record({
    what: fc.constant('column' as const),
    row,
    column: fc.constantFrom('first_seq', 'count', 'lines', 'text_bytes', 'crc', 'size'),
    value: fc.constantFrom(-1, 0, 1, 5, 10, 11, 2 ** 31, 2 ** 48, 2 ** 53 - 1),
  }),
  fc.record({ what: fc.constant('gone' as const), row }),
  fc.record({ what: fc.constant('stub' as const), row }),
  fc.record({ what: fc.constant('meta' as const), mutate: mutations([]) }),
  fc.record({ what: fc.constant('table' as const), table: fc.constantFrom('meta', 'record') }),
);

function harm(path: string, damages: readonly Damage[]): void {
  const db = new Database(path);
  for (const one of damages) {
    if (!db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'record'").get()) break;
    if (one.what === 'table') {
      db.exec(`DROP TABLE ${one.table}`);
      break;
    }
    if (one.what === 'meta') {
      for (const { key, value } of db.prepare<[], { key: string; value: string }>('SELECT * FROM meta').all())
        db.prepare('UPDATE meta SET value = ? WHERE key = ?').run(one.mutate(Buffer.from(value)).toString(), key);
      continue;
    }
    const at = db
      .prepare<[number], { first_seq: number; bytes: Buffer | null }>(
        'SELECT * FROM record ORDER BY first_seq LIMIT 1 OFFSET ?',
      )
      .get(one.row);
    if (at === undefined) continue;
    if (one.what === 'gone') db.prepare('DELETE FROM record WHERE first_seq = ?').run(at.first_seq);
    else if (one.what === 'stub') db.prepare('UPDATE record SET bytes = NULL WHERE first_seq = ?').run(at.first_seq);
    else if (one.what === 'column')
      db.prepare(`UPDATE OR IGNORE record SET ${one.column} = ? WHERE first_seq = ?`).run(one.value, at.first_seq);
    else {
      const bytes = Buffer.from(one.mutate(at.bytes ?? Buffer.alloc(0)));
      if (one.sealed && bytes.length >= CHUNK_HEADER_BYTES) bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
      db.prepare('UPDATE record SET bytes = ? WHERE first_seq = ?').run(bytes, at.first_seq);
    }
  }
  db.close();
}

describe('a spool that was damaged is printed, sent or kept, and what is wrong is said', { timeout: 600_000 }, () => {
  test('in its rows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), fc.boolean(), async (damages, ended) => {
        const { spoolDir, task, path } = leave(ended);
        harm(path, damages);
        const trusted = damages.every((one) => one.what !== 'bytes' || !one.sealed);
        const rest = damages.every(({ what }) => what !== 'meta' && what !== 'table') ? readable(path) : undefined;
        await checkUse({ spoolDir, task, path, trusted, rest: trusted ? rest : undefined });
      }),
      { ...hunt(20), endOnFailure: true },
    );
  });

  test('in its file', async () => {
    await fc.assert(
      fc.asyncProperty(mutations([]), fc.boolean(), async (mutate, ended) => {
        const { spoolDir, task, path } = leave(ended);
        const bytes = mutate(readFileSync(path));
        writeFileSync(path, bytes);
        await checkUse({ spoolDir, task, path, trusted: true });
      }),
      { ...hunt(6), endOnFailure: true },
    );
  });
});

/** The lines of those chunks that are as they were written, wherever they are, in order. */
function readable(path: string): string[] {
  const db = new Database(path, { readonly: true });
  const rows = db.prepare<[], { bytes: unknown }>('SELECT bytes FROM record').all();
  db.close();
  const seqs = new Set<number>();
  for (const { bytes } of rows) {
    if (!Buffer.isBuffer(bytes)) continue;
    try {
      const { firstSeq, reason } = readHeader(bytes);
      checkCrc(bytes);
      if (reason === undefined) seqs.add(firstSeq);
    } catch {
      // It was damaged.
    }
  }
  return [...seqs].sort((a, b) => a - b).flatMap((seq) => whole.slice(seq, seq + LINES));
}

interface Left {
  spoolDir: string;
  task: string;
  path: string;
  /** Whether lines that can be read are those that were written. */
  trusted: boolean;
  /** What can still be read, all of which is to be sent; absent where that can't be said. */
  rest?: string[];
}

async function checkUse({ spoolDir, task, path, trusted, rest }: Left): Promise<void> {
  const before = statSync(path).size;
  const printed = await print(path);
  assert.ok(printed.code === 0 || printed.err !== '');
  if (trusted) checkLines(printed.out.split('\n').slice(0, -1));
  assert.doesNotMatch(printed.err, /\n +at /);

  const { runs, warnings } = await flushAll(spoolDir, task);
  for (const text of [...warnings, ...runs.flatMap(({ problem }) => problem ?? [])])
    assert.doesNotMatch(text, /\n +at /);
  const [run] = runs as (FlushedRun | undefined)[];
  if (run === undefined) {
    // Nothing of it is left to be sent: it never was a whole one, or is none any more.
    assert.ok(before === 0 || listSpools(spoolDir, task).length === 0, JSON.stringify({ warnings, before }));
    return;
  }
  assert.ok(run.state === 'delivered' || run.problem !== undefined);
  assert.ok(existsSync(path) || run.state === 'delivered', JSON.stringify({ run, warnings }));
  if (run.task !== task) return;
  const answer = await fetch(`${relay.url}/api/v1/tasks/${task}/logs/export?format=txt&plain=true`);
  const lines =
    answer.status === 200 ? (await answer.text()).split('\n').filter((line) => line.startsWith('line ')) : [];
  if (trusted) checkLines(lines);
  if (rest === undefined) return;
  assert.deepEqual(lines, rest, JSON.stringify({ run, warnings }));
  assert.equal(run.state, 'delivered', JSON.stringify({ run, warnings }));
  assert.equal(
    (run.unreadableLines ?? 0) > 0,
    warnings.some((text) => text.includes("can't be read")),
  );
}

/** Each of them once, and in order; not all need be there. */
function checkLines(lines: readonly string[]): void {
  let at = -1;
  for (const line of lines) {
    const found = whole.indexOf(line, at + 1);
    assert.ok(found > at, `${JSON.stringify(line)} behind line ${at}`);
    at = found;
  }
}

async function print(path: string): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const [out, err] = [stdout.toArray() as Promise<Buffer[]>, stderr.toArray() as Promise<Buffer[]>];
  const code = await cat([path], {}, { stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, out: Buffer.concat(await out).toString(), err: Buffer.concat(await err).toString() };
}

async function flushAll(spoolDir: string, task: string): Promise<{ runs: FlushedRun[]; warnings: string[] }> {
  const [runs, warnings]: [FlushedRun[], string[]] = [[], []];
  await flushTask(
    {
      ...{ spoolDir, reconnectMinMs: 5, reconnectMaxMs: 50, connectTimeoutMs: 2000, drainTimeoutMs: 300 },
      websocketUrls: [`${relay.url.replace('http', 'ws')}/ws/tasks`],
      onWarning: (text) => warnings.push(text),
      onRun: (run) => runs.push(run),
      now: Date.now,
    },
    task,
  );
  return { runs, warnings };
}
