import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import type { FastifyInstance } from 'fastify';
import fc from 'fast-check';
import { CHUNK_HEADER_BYTES } from '../../shared/chunk.ts';
import { LEVELS } from '../../shared/line.ts';
import { hunt } from '../../test/fuzz/hunt.ts';
import { mutations, type Mutation } from '../../test/fuzz/mutations.ts';
import { routesOver } from '../api/keruta/routes.fixture.ts';
import { compileFilter } from '../filter.ts';
import { mergedOf, type MergedReading } from '../merged/merged.fixture.ts';
import { Reader } from '../reader.ts';
import { TestRun } from '../reading.fixture.ts';
import { Tail } from '../tail.ts';
import { verifyStore } from '../tools/verify.ts';
import { openSqliteStore, type SqliteStore } from './sqlite.ts';

/** Tasks and the pipelines that they belong to: one with several runs at once, which are merged. */
const TASKS = { alpha: 'p', beta: 'p', gamma: undefined };
type Task = keyof typeof TASKS;

/** What is done to a row of the file: to some bytes of it, with the checksum of the chunk made right again or not. */
interface Damage {
  row: number;
  part: 'header' | 'body' | 'pieces';
  sealed: boolean;
  mutate: Mutation;
}

const { signal } = new AbortController();
let folder: string;
let template: string;
/** By task: the text of each line, undefined where it was missing from the start. */
const written = new Map<Task, (string | undefined)[]>();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keruta-damage-'));
  template = join(folder, 'template.db');
  const store = await openSqliteStore({ path: template });
  for (const [task, pipelineId] of Object.entries(TASKS) as [Task, string | undefined][]) {
    written.set(task, []);
    const runs = await Promise.all(
      [0, 1].map(() => new TestRun({ store }, task).open({}, pipelineId === undefined ? {} : { pipelineId })),
    );
    for (let n = 0; n < 20; n++) await write(task, runs[n % 3 === 0 ? 1 : 0], n);
    await store.settle();
    for (let n = 20; n < 26; n++) await write(task, runs[n % 2], n);
  }
  await store.close();
});
after(() => rmSync(folder, { recursive: true }));

async function write(task: Task, run: TestRun, n: number): Promise<void> {
  const lines = written.get(task) ?? [];
  if (n % 17 === 5) {
    await run.gap(3);
    lines.push(undefined, undefined, undefined);
    return;
  }
  const texts = Array.from(
    { length: 1 + ((n * 5) % 9) },
    (_, i) => `${task} ${n}.${i} ${'word '.repeat((n + i) % 40)}`,
  );
  await run.write(
    ...texts.map((text, i) => ({
      text,
      level: LEVELS[(n + i) % 4],
      time: 1_767_322_200_000 + n,
      ...(i % 4 === 1 && { metadata: '{"k":1}' }),
    })),
  );
  lines.push(...texts);
}

const damage: fc.Arbitrary<Damage> = fc.record({
  row: fc.nat(60),
  part: fc.constantFrom('header', 'body', 'body', 'pieces'),
  sealed: fc.boolean(),
  mutate: mutations([]),
});

test(
  'whatever is damaged in a store is read as what it was or as missing, by every reader, and harms nothing else',
  { timeout: 1_800_000 },
  async () => {
    let cases = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 6 }), async (damages) => {
        const path = join(folder, `${++cases}.db`);
        copyFileSync(template, path);
        const trusted = damages.every(({ sealed, part }) => !sealed || part === 'pieces');
        harm(path, damages);
        const opened = await open(path);
        try {
          await checkReaders(opened, trusted);
          const before = await everything(opened);
          await opened.store.settle();
          const again = await open(path);
          try {
            assert.deepEqual(await everything(again), before);
            if (trusted) checkVerify(path, before);
            await checkWriters(again, before);
          } finally {
            await again.close();
          }
          assert.deepEqual(opened.trouble, []);
        } finally {
          await opened.close();
          for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
        }
      }),
      // Each case is a whole store: making a failing one smaller would take minutes.
      { ...hunt(6), endOnFailure: true },
    );
  },
);

function harm(path: string, damages: readonly Damage[]): void {
  const db = new Database(path);
  interface Row {
    position: number;
    header: Buffer;
    body: Buffer | null;
  }
  const rows = db.prepare<[], Row>('SELECT position, header, body FROM chunk ORDER BY position').all();
  const pieces = db.prepare<[], { position: number; pieces: Buffer }>('SELECT position, pieces FROM merged').all();
  for (const { row, part, sealed, mutate } of damages) {
    if (part === 'pieces') {
      const one = pieces[row % pieces.length];
      one.pieces = mutate(one.pieces);
      db.prepare('UPDATE merged SET pieces = ? WHERE position = ?').run(one.pieces, one.position);
      continue;
    }
    const one = rows[row % rows.length];
    if (part === 'header') one.header = mutate(one.header);
    else if (one.body) one.body = orNull(mutate(one.body));
    if (sealed && one.header.length >= CHUNK_HEADER_BYTES) {
      one.header = Buffer.from(one.header);
      if (part === 'body' && one.body) one.header.writeUInt32LE(one.body.length, 64);
      one.header.writeUInt32LE(crc32(one.body ?? '', crc32(one.header.subarray(8, CHUNK_HEADER_BYTES))), 4);
    }
    db.prepare('UPDATE chunk SET header = ?, body = ? WHERE position = ?').run(one.header, one.body, one.position);
  }
  db.close();
}

function orNull(bytes: Buffer): Buffer | null {
  return bytes.length === 0 ? null : bytes;
}

interface Opened {
  store: SqliteStore;
  reading: MergedReading;
  app: FastifyInstance;
  trouble: string[];
  close: () => Promise<void>;
}

async function open(path: string): Promise<Opened> {
  const trouble: string[] = [];
  const store = await openSqliteStore({ path, onTrouble: (message) => trouble.push(message) });
  const tail = new Tail({ store });
  const reading = mergedOf({ path, store, tail, reader: new Reader({ store, tail }) });
  const app = routesOver(reading);
  const close = async (): Promise<void> => {
    await app.close();
    await store.close();
  };
  return { store, reading, app, trouble, close };
}

/** Every task's lines as a reader gets them, by number: the text, or undefined where they are missing. */
async function everything({ reading }: Opened): Promise<Record<string, (string | undefined)[]>> {
  const all: Record<string, (string | undefined)[]> = {};
  for (const task of written.keys()) {
    const record = await reading.store.task(task);
    assert.ok(record);
    const lines: (string | undefined)[] = [];
    for await (const batch of reading.reader.stream(record, { filter: compileFilter(), signal })) {
      for (const event of batch.events) {
        if (event.type === 'end') continue;
        if (event.type === 'gap') {
          assert.equal(event.fromLine, lines.length + 1);
          for (let line = event.fromLine; line <= event.toLine; line++) lines.push(undefined);
          continue;
        }
        assert.equal(event.block.firstLine + event.first, lines.length + 1);
        const read = event.block.lines();
        assert.ok(read);
        for (let at = event.first; at < event.end; at++)
          lines.push(read.text.toString('utf8', read.starts[at], read.starts[at + 1] - 1));
      }
    }
    assert.equal(lines.length, record.nextLine - 1);
    all[task] = lines;
  }
  return all;
}

async function checkReaders(opened: Opened, trusted: boolean): Promise<void> {
  const { reading, app } = opened;
  const read = await everything(opened);
  for (const [task, texts] of written) {
    const lines = read[task];
    assert.equal(lines.length, texts.length);
    if (trusted)
      lines.forEach((line, at) => assert.ok(line === undefined || line === texts[at], `${task} ${at + 1}: ${line}`));
    const record = await reading.store.task(task);
    assert.ok(record);
    for (const spec of [
      {},
      { levels: ['WARN' as const] },
      { text: ['word'] },
      { meta: { k: '1' } },
      { to: 1_767_322_200_015 },
    ]) {
      const filter = compileFilter(spec);
      await reading.reader.count(record, { filter, signal });
      for (const order of ['asc', 'desc'] as const) {
        const page = await reading.reader.page(record, { filter, offset: 3, size: 50, context: 2, order, signal });
        for await (const { block } of page.lines()) assert.ok(block.lines());
      }
    }
    for (const format of ['json', 'ndjson', 'csv', 'txt', 'txt&plain=true']) {
      const answer = await app.inject(`/tasks/${task}/logs/export?format=${format}`);
      assert.equal(answer.statusCode, 200, answer.body);
      if (format === 'json') JSON.parse(answer.body);
      if (format.endsWith('plain=true') && trusted) {
        const exported = answer.body.split('\n').filter((line) => line.startsWith(`${task} `));
        assert.deepEqual(
          exported,
          lines.filter((line) => line !== undefined),
        );
      }
    }
  }
  for (const group of ['p', 'gamma', undefined]) {
    for await (const { events } of reading.merged.follow({
      ...{ from: 0, untilHead: true, signal },
      ...(group !== undefined && { group }),
    })) {
      for (const event of events) if (event.type === 'lines') assert.ok(event.block.lines());
    }
  }
}

/** What readers miss, `verify` finds. */
function checkVerify(path: string, read: Record<string, (string | undefined)[]>): void {
  for (const [task, texts] of written) {
    const lost = texts.some((text, at) => text !== undefined && read[task][at] === undefined);
    let findings = 0;
    verifyStore({ path, task, onFinding: () => findings++ });
    if (lost) assert.notEqual(findings, 0);
  }
  verifyStore({ path, onFinding: () => undefined });
}

/** Appends, trims and retention go on as if nothing were. */
async function checkWriters({ reading, store }: Opened, read: Record<string, (string | undefined)[]>): Promise<void> {
  for (const task of written.keys()) {
    const lines = read[task];
    const run = await new TestRun(reading, task).open();
    await run.write('new');
    const middle = Math.floor(lines.length / 2);
    await store.trim(task, middle);
    const [first, second] = await store.read({ from: { task, line: 1 }, maxBytes: 1e6 });
    assert.ok(first.kind === 'gap' && first.reason === 'trimmed' && first.count === middle);
    assert.equal(second.firstLine, middle + 1);
    await store.lastLineUntil(task, 1_767_322_200_020);
  }
  await store.expire({ maxTaskLines: 5 }, 1e6);
}
