import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import Database from 'better-sqlite3';
import { linesOf, runsOf, TestRun } from './conformance-run.ts';
import type { Merged } from './sqlite-merging.ts';
import { openSqliteStore, type SqliteOptions, type SqliteStore } from './sqlite.ts';

describe('the SQLite store, merging', () => {
  let folder: string;
  let path: string;
  const handles: SqliteStore[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keruta-merge-'));
    path = join(folder, 'store.db');
  });
  afterEach(async () => {
    for (const handle of handles.splice(0)) await handle.close();
    rmSync(folder, { recursive: true });
  });

  async function open(options: Partial<SqliteOptions> = {}): Promise<SqliteStore> {
    const store = await openSqliteStore({ path, ...options });
    handles.push(store);
    return store;
  }

  /** The levels of a task's chunks in the file, in order. */
  function levels(): number[] {
    const db = new Database(path, { readonly: true });
    try {
      return db.prepare<[], number>('SELECT level FROM chunk ORDER BY task, first_line').pluck().all();
    } finally {
      db.close();
    }
  }

  const texts = (count: number, from = 0): string[] =>
    Array.from({ length: count }, (_, index) => `line ${from + index}`);

  test('begins by itself when enough small chunks have come, and tells what it did', async () => {
    const merged = Promise.withResolvers<Merged>();
    const store = await open({ onMerge: merged.resolve });
    const run = await TestRun.open(store, 't');
    await Promise.all(texts(100).map((text) => run.lines(text)));
    const { chunks, into, lines } = await merged.promise;
    assert.ok(chunks >= 64 && into >= 1 && lines === chunks);
    assert.ok((await store.size()).chunks <= 100 - chunks + into);
    assert.deepEqual(
      await linesOf(store, { task: 't', line: 1 }),
      texts(100).map((text, index) => `${index + 1} ${text}`),
    );
  });

  test('takes less when the last run has ended', async () => {
    const merged = Promise.withResolvers<Merged>();
    const store = await open({ onMerge: merged.resolve });
    const run = await TestRun.open(store, 't');
    for (const text of texts(3)) await run.lines(text);
    await run.end();
    assert.deepEqual(await merged.promise, { chunks: 3, into: 1, lines: 3 });
    assert.deepEqual(await linesOf(store, { task: 't', line: 2 }), ['2 line 1', '3 line 2']);
  });

  test('leaves large chunks alone, and gaps, and merges what lies between them', async () => {
    const store = await open();
    const run = await TestRun.open(store, 't');
    const large = 'x'.repeat(200_000);
    await run.lines(large);
    for (const text of texts(3)) await run.lines(text);
    await run.gap(2, 'dropped');
    for (const text of texts(2, 3)) await run.lines(text);
    await run.lines(large);
    const before = await store.read({ from: { task: 't', line: 1 }, maxBytes: 1e9 });
    await store.settle();
    const after = await store.read({ from: { task: 't', line: 1 }, maxBytes: 1e9 });
    assert.deepEqual(
      after.map(({ kind, count }) => [kind, count]),
      [
        ['chunk', 1],
        ['chunk', 3],
        ['gap', 2],
        ['chunk', 2],
        ['chunk', 1],
      ],
    );
    assert.deepEqual([after.at(0), after.at(-1)], [before.at(0), before.at(-1)]);
  });

  test('is done no more often than levels say', async () => {
    const store = await open();
    const run = await TestRun.open(store, 't');
    for (let round = 0; round < 4; round++) {
      await Promise.all(texts(70).map((text) => run.lines(text)));
      await store.settle();
    }
    assert.ok(levels().every((level) => level <= 3));
    assert.equal((await linesOf(store, { task: 't', line: 1 })).length, 280);
  });

  test('does not wait for chunks that were trimmed before anybody looked at them', async () => {
    const store = await open();
    const run = await TestRun.open(store, 't');
    for (const text of texts(10)) await run.lines(text);
    await store.trim('t', 10);
    for (const text of texts(2, 10)) await run.lines(text);
    await store.settle();
    const db = new Database(path, { readonly: true });
    const loose = db.prepare('SELECT loose FROM task').pluck().get();
    db.close();
    assert.equal(loose, 0);
  });

  test('of a store that is full needs no more room than there is, and makes some', async () => {
    const store = await open({ maxBytes: 512 * 1024 });
    const run = await TestRun.open(store, 't');
    // Text that does not compress, or merging would make room faster than it is taken.
    const text = (seq: number): string => `${seq} ${randomBytes(150).toString('base64')}`;
    let stored = 0;
    for (let full = false; !full;) {
      try {
        await run.append(run.chunkFrom(stored, text(stored)));
        stored++;
      } catch (error) {
        assert.equal((error as { reason: string }).reason, 'full');
        full = true;
      }
    }
    const before = await linesOf(store, { task: 't', line: 1 });
    assert.equal(before.length, stored);
    await store.settle();
    assert.deepEqual(await linesOf(store, { task: 't', line: 1 }), before);
    assert.ok((await store.size()).chunks < stored / 4);
    assert.equal((await run.append(run.chunkFrom(stored, 'more'))).outcome, 'stored');
  });

  test('and trimming, killed at any moment, lose and repeat no line', async () => {
    // Appends to parallel runs, merges and trims all the time, and prints what was acknowledged.
    const script = `
      const { writeSync } = await import('node:fs');
      const { openSqliteStore } = await import(${moduleUrl('./sqlite.ts')});
      const { TestRun } = await import(${moduleUrl('./conformance-run.ts')});
      const store = await openSqliteStore({ path: ${JSON.stringify(path)} });
      const runs = [await TestRun.open(store, 't'), await TestRun.open(store, 't'), await TestRun.open(store, 'u')];
      let settling = Promise.resolve();
      for (let seq = 0; ; ) {
        const group = Array.from({ length: 20 }, () => seq++);
        await Promise.all(runs.flatMap((run) => group.map((seq) => run.append(run.chunkFrom(seq, run.run + ' ' + seq)))));
        for (const run of runs) writeSync(1, run.task + ' ' + run.run + ' ' + seq + '\\n');
        settling = settling.then(() => store.settle());
        if (seq % 60 === 0) {
          const through = seq / 2;
          await store.trim('u', through);
          writeSync(1, 'trimmed ' + through + '\\n');
        }
      }`;
    const acknowledged = new Map<string, { task: string; seqs: number }>();
    for (const kill of [8, 40, 150]) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      let output = '';
      for await (const data of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
        output += data;
        if (output.split('\n').length > kill) child.kill('SIGKILL');
      }
      await exited;
      for (const line of output.split('\n').slice(0, -1)) {
        const [task, run, seqs] = line.split(' ');
        if (task !== 'trimmed') acknowledged.set(run, { task, seqs: Number(seqs) });
      }
    }
    const store = await open();
    for (const settled of [false, true]) {
      if (settled) await store.settle();
      for (const task of ['t', 'u']) {
        const lines = await linesOf(store, { task, line: 1 });
        const owners = await runsOf(store, { task, line: 1 });
        assert.deepEqual(
          lines.map((line) => Number(line.split(' ')[0])),
          lines.map((_, index) => index + 1),
        );
        const record = await store.task(task);
        const there = lines.filter((line) => !line.endsWith('trimmed'));
        assert.equal(record?.lines, there.length);
        assert.equal(lines.length - there.length, record.trimmedLine);
        for (const [run, { task: owner, seqs }] of acknowledged) {
          if (owner !== task) continue;
          const own = there.map((line) => line.split(' ')).filter(([, name]) => name === run);
          const numbers = own.map(([, , seq]) => Number(seq));
          const last = numbers.at(-1) ?? seqs;
          assert.ok(last >= seqs - 1, `${run}: up to ${last}, ${seqs} were acknowledged`);
          assert.deepEqual(
            numbers,
            Array.from(numbers, (_, index) => last - numbers.length + 1 + index),
          );
          if (task === 't') assert.equal(numbers[0], 0);
          for (const [line] of own) assert.ok(owners.includes(`${line} ${run}`));
        }
      }
    }
  });
});

function moduleUrl(name: string): string {
  return JSON.stringify(new URL(name, import.meta.url).href);
}
