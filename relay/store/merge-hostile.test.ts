import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import Database from 'better-sqlite3';
import { CODEC_PLAIN, encodeChunk, FLAG_METADATA } from '../../shared/chunk.ts';
import { writeVarint } from '../../shared/columns.ts';
import { kindOf, pairOf, PAIRS } from '../../shared/line.ts';
import { toSegment } from '../block.ts';
import { verifyStore, type Finding } from '../tools/verify.ts';
import { linesOf, TestRun } from './conformance-run.ts';
import { openSqliteStore, type SqliteStore } from './sqlite.ts';

describe('chunks that are made to hurt, or were damaged', () => {
  let folder: string;
  let path: string;
  let store: SqliteStore;
  const trouble: string[] = [];

  async function open(): Promise<void> {
    store = await openSqliteStore({ path, onTrouble: (message) => trouble.push(message) });
  }

  /** Changes the file while nobody has it open. */
  async function damage(...statements: string[]): Promise<void> {
    await store.close();
    const db = new Database(path);
    for (const statement of statements) assert.notEqual(db.prepare(statement).run().changes, 0, statement);
    db.close();
    await open();
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keruta-hostile-'));
    path = join(folder, 'store.db');
    trouble.length = 0;
    await open();
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  test('metadata that grows when it is written again leaves its chunks as they are, and others are merged', async () => {
    const [bad, good] = [await TestRun.open(store, 'bad'), await TestRun.open(store, 'good')];
    for (let seq = 0; seq < 3; seq++) await bad.append(noUtf8(bad.run, seq, 300_000));
    await good.lines('a');
    await good.lines('b');
    await store.settle();
    assert.deepEqual(trouble, []);
    assert.equal((await store.read({ from: { task: 'bad', line: 1 }, maxBytes: 1e9 })).length, 3);
    assert.equal((await store.read({ from: { task: 'good', line: 1 }, maxBytes: 1e9 })).length, 1);
    const findings: Finding[] = [];
    verifyStore({ path, task: 'good', onFinding: (finding) => findings.push(finding) });
    assert.deepEqual(findings, []);
  });

  test('a list of pieces that can’t be read costs whose lines they are, and their places; never others’', async () => {
    const runs = [await TestRun.open(store, 't'), await TestRun.open(store, 't'), await TestRun.open(store, 'u')];
    for (let i = 0; i < 12; i++) await runs[i % 3].lines(String(i));
    await store.settle();
    await damage("UPDATE merged SET pieces = x'00ff' WHERE position = 0");
    assert.deepEqual(
      await linesOf(store, { task: 't', line: 1 }),
      [0, 1, 3, 4, 6, 7, 9, 10].map((text, index) => `${index + 1} ${text}`),
    );
    assert.deepEqual(await linesOf(store, { position: 0 }, { unreadable: '?' }), [
      '0 ?',
      ...[2, 5, 8, 11].map((text) => `${text} ${text}`),
    ]);
    const later = await TestRun.open(store, 't');
    for (const text of ['b', 'c']) await later.lines(text);
    await store.settle();
    assert.equal((await store.read({ from: { task: 't', line: 1 }, maxBytes: 1e9 })).length, 2);
    assert.deepEqual(trouble, []);
  });

  test('a header that can’t be read is a loss of its lines, stops no reader, no trim and no retention', async () => {
    const run = await TestRun.open(store, 't');
    for (const text of ['a', 'broken', 'c']) await run.lines(text);
    await damage('UPDATE chunk SET header = zeroblob(92) WHERE first_line = 2');
    const numbers = (read: Awaited<ReturnType<SqliteStore['read']>>): number[] =>
      read.map(({ firstLine }) => firstLine);
    assert.deepEqual(numbers(await store.read({ from: { task: 't', line: 1 }, maxBytes: 1e9 })), [1, 2, 3]);
    assert.deepEqual(numbers(await store.read({ from: { position: 0 }, maxBytes: 1e9 })), [1, 2, 3]);
    await store.settle();
    assert.deepEqual(trouble, []);
    assert.equal((await store.expire({ maxAgeMs: 1 }, 1e6)).chunks, 3);
    assert.deepEqual(await linesOf(store, { task: 't', line: 1 }), ['1 trimmed', '2 trimmed', '3 trimmed']);
  });

  for (const [what, statement] of [
    ['a header that is cut', 'UPDATE chunk SET header = substr(header, 1, 91) WHERE first_line = 2'],
    [
      'a header that has grown',
      "UPDATE chunk SET header = CAST(header || x'00' AS BLOB), body = x'00' WHERE first_line = 2",
    ],
    ['a body that is gone', 'UPDATE chunk SET body = NULL WHERE first_line = 2'],
  ]) {
    test(`${what} is a loss of its lines, by number and by position`, async () => {
      const run = await TestRun.open(store, 't');
      for (const text of ['a', 'broken', 'c']) await run.lines(text);
      await damage(statement);
      for (const from of [{ task: 't', line: 1 }, { position: 0 }]) {
        const read = (await store.read({ from, maxBytes: 1e9 })).map(toSegment);
        assert.deepEqual(
          read.map((one) => one.kind === 'block' && one.lines()?.text.toString()),
          ['a\n', undefined, 'c\n'],
        );
      }
    });
  }

  test('a trim within a chunk whose list of pieces can’t be read keeps the lines behind it', async () => {
    const runs = [await TestRun.open(store, 't'), await TestRun.open(store, 't'), await TestRun.open(store, 'u')];
    for (let i = 0; i < 12; i++) await runs[i % 3].lines(String(i));
    await store.settle();
    await damage("UPDATE merged SET pieces = x'00ff' WHERE position = 0");
    await store.trim('t', 5);
    assert.deepEqual(await linesOf(store, { task: 't', line: 6 }), ['6 7', '7 9', '8 10']);
    assert.deepEqual(await linesOf(store, { position: 0 }, { unreadable: '?' }), [
      ...[2, 5, 8].map((text) => `${text} ${text}`),
      '10 ?',
      '11 11',
    ]);
  });

  test('positions that gaps took up in great number are passed over at once', { timeout: 20_000 }, async () => {
    const run = await TestRun.open(store, 't');
    await run.lines('a');
    for (let i = 0; i < 40; i++) await run.gap(4e9, 'dropped');
    for (const text of ['b', 'c']) await run.lines(text);
    const other = await TestRun.open(store, 'u');
    for (const text of ['d', 'e']) {
      await other.lines(text);
      await run.lines(text);
    }
    await store.settle();
    await store.trim('t', 40 * 4e9 + 1);
    const [first] = await store.read({ from: { position: 0 }, maxBytes: 1e9 });
    assert.equal(first.position, 40 * 4e9 + 1);
  });
});

/** A line whose metadata has so many bytes, none of them text. */
function noUtf8(run: string, firstSeq: number, bytes: number): Buffer {
  const kind = kindOf('stdout', 'INFO');
  const body = Buffer.alloc(bytes + 16, 0xff);
  Buffer.from(['a'.charCodeAt(0), 0x0a, 0, kind, 1]).copy(body);
  const end = writeVarint(body, 5, bytes) + bytes;
  const counts = new Uint16Array(PAIRS);
  counts[pairOf(kind)] = 1;
  const fields = { run, firstSeq, count: 1, flags: FLAG_METADATA, minTime: 5, maxTime: 5, textBytes: 2, counts };
  return encodeChunk(fields, CODEC_PLAIN, end, body.subarray(0, end));
}
