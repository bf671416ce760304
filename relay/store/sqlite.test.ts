import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { linesOf, openRun, TestRun } from './conformance-run.ts';
import { openSqliteStore, type SqliteOptions } from './sqlite.ts';
import type { Store } from './store.ts';

describe('the SQLite store', () => {
  let folder: string;
  let path: string;
  const handles: Store[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keruta-store-'));
    path = join(folder, 'store.db');
  });
  afterEach(async () => {
    for (const handle of handles.splice(0)) await handle.close();
    rmSync(folder, { recursive: true });
  });

  async function open(options: Partial<SqliteOptions> = {}): Promise<Store> {
    const store = await openSqliteStore({ path, ...options });
    handles.push(store);
    return store;
  }

  describe('refuses', () => {
    const files: [string, (path: string) => void, RegExp][] = [
      [
        'a file that is no database',
        (file) => writeFileSync(file, 'no database at all '.repeat(99)),
        /store\.db is not a keruta store/,
      ],
      [
        'another program’s database',
        (file) => alter(file, 'CREATE TABLE theirs (id)'),
        /is an SQLite file, but not a keruta store/,
      ],
      ['a file in a folder that is missing', () => rmSync(folder, { recursive: true }), /directory does not exist/],
    ];
    for (const [what, prepare, message] of files) {
      test(what, async () => {
        prepare(path);
        await assert.rejects(openSqliteStore({ path }), { message });
        mkdirSync(folder, { recursive: true });
      });
    }

    for (const [format, advice] of [
      [99, 'made by a newer version'],
      [1, 'earlier development version'],
    ] as const) {
      test(`format ${format}, and says what to do`, async () => {
        await (await openSqliteStore({ path })).close();
        alter(path, `PRAGMA user_version = ${format}`);
        await assert.rejects(openSqliteStore({ path }), {
          message: new RegExp(`has store format ${format}; this program reads format 4: .*${advice}`),
        });
      });
    }
  });

  test('is durable at each commit, gives space back, and has its pages as they were chosen', async () => {
    await open();
    const db = new Database(path, { readonly: true });
    const pragma = (name: string): unknown => db.pragma(name, { simple: true });
    assert.deepEqual([pragma('journal_mode'), pragma('auto_vacuum'), pragma('page_size')], ['wal', 2, 4096]);
    db.close();
  });

  test('the write-ahead log begins anew while appends go on', async () => {
    const store = await open();
    const run = await TestRun.open(store, 't');
    const text = incompressible(256 * 1024 - 1, 1);
    const appends = 400;
    for (let seq = 0; seq < appends; seq += 8) {
      await Promise.all(Array.from({ length: 8 }, (_, i) => run.append(run.chunkFrom(seq + i, text))));
    }
    // Copied away whenever 16 MiB are in it.
    const { bytes, pendingBytes } = await store.size();
    assert.ok(pendingBytes < 24 * MIB, `${pendingBytes} bytes in the log`);
    assert.ok(bytes - pendingBytes > 64 * MIB, `${bytes} bytes`);
  });

  test('a chunk that contradicts its append fails alone', async () => {
    const store = await open();
    const [one, two] = [await TestRun.open(store, 't'), await TestRun.open(store, 't')];
    const results = await Promise.allSettled([
      one.lines('a'),
      one.append(two.chunkFrom(1, 'x')),
      one.lines('b'),
      two.lines('c'),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
    assert.equal(((results[1] as PromiseRejectedResult).reason as { reason: string }).reason, 'other');
    assert.deepEqual(await linesOf(store, { task: 't', line: 1 }), ['1 a', '2 b', '3 c']);
  });

  describe('without room', () => {
    /** Appends until one is refused; answers the lines that were stored. */
    async function fill(run: TestRun): Promise<number> {
      for (let seq = 0; ; seq++) {
        try {
          await run.append(run.chunkFrom(seq, incompressible(20_000, seq)));
        } catch (error) {
          assert.deepEqual([(error as { reason: string }).reason, (error as { retry: boolean }).retry], ['full', true]);
          return seq;
        }
      }
    }

    test('refuses, keeps what it has, and goes on when there is room again', async () => {
      const store = await open({ maxBytes: 512 * 1024 });
      const run = await TestRun.open(store, 't');
      const stored = await fill(run);
      assert.ok(stored > 5);
      assert.equal((await store.head('t'))?.nextLine, stored + 1);
      assert.equal((await linesOf(store, { task: 't', line: 1 })).length, stored);
      assert.equal((await store.trim('t', 5)).trimmedLine, 5);
      const outcome = await run.append(run.chunkFrom(stored, incompressible(20_000, stored)));
      assert.deepEqual(outcome, {
        outcome: 'stored',
        nextSeq: stored + 1,
        firstLine: stored + 1,
        position: stored,
        count: 1,
      });
    });

    test('stores what fits of a group', async () => {
      const store = await open({ maxBytes: 512 * 1024 });
      const [large, small] = [await TestRun.open(store, 'large'), await TestRun.open(store, 'small')];
      const results = await Promise.allSettled([
        small.lines('a'),
        large.append(large.chunkFrom(0, incompressible(900_000, 1))),
        small.lines('b'),
      ]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      assert.deepEqual(await linesOf(store, { position: 0 }), ['0 a', '1 b']);
      assert.equal((await store.head('large'))?.nextLine, 1);
    });

    test('on a real disk', async (t) => {
      const disk = mountDisk(join(folder, 'disk'), 2);
      if (!disk) {
        t.skip('needs the right to mount a tmpfs');
        return;
      }
      try {
        const store = await openSqliteStore({ path: join(disk.path, 'store.db') });
        try {
          const run = await TestRun.open(store, 't');
          const filler = join(disk.path, 'filler');
          writeFileSync(filler, Buffer.alloc(1024 * 1024));
          const stored = await fill(run);
          assert.equal((await linesOf(store, { task: 't', line: 1 })).length, stored);
          rmSync(filler);
          assert.equal((await run.append(run.chunkFrom(stored, 'room'))).outcome, 'stored');
        } finally {
          await store.close();
        }
      } finally {
        disk.unmount();
      }
    });
  });

  test('an I/O error ends the store: every call rejects, now and later', async (t) => {
    if (process.platform === 'win32') {
      t.skip('needs a shell with ulimit');
      return;
    }
    // A file that may not grow makes writes fail with EFBIG, which SQLite can only take for a failing device.
    const script = `
      const { openSqliteStore } = await import(${moduleUrl('./sqlite.ts')});
      const { TestRun } = await import(${moduleUrl('./conformance-run.ts')});
      const store = await openSqliteStore({ path: ${JSON.stringify(path)} });
      const run = await TestRun.open(store, 't');
      const waiting = store.wait('t', { nextLine: 99, revision: 9 }, new AbortController().signal);
      const line = () => Array.from({ length: 5000 }, () => Math.random()).join(' ');
      const appends = Array.from({ length: 100 }, () => run.lines(line()));
      const results = await Promise.allSettled([...appends, waiting]);
      const later = await Promise.allSettled([store.head('t'), run.lines('y'), store.trim('t', 1)]);
      const reasons = (settled) => settled.map(({ reason }) => reason && reason.reason + ' ' + reason.retry);
      console.log(JSON.stringify([[...new Set(reasons(results))].filter(Boolean), reasons(results).at(-1), reasons(later)]));
      await store.close();`;
    const child = spawn(
      'sh',
      ['-c', 'ulimit -f 2048; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', script],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const [output, exit] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    assert.deepEqual(exit, [0, null]);
    const dead = 'io false';
    assert.deepEqual(JSON.parse(output), [[dead], dead, [dead, dead, dead]]);
  });

  test('a trim gives pages back to the file system', async () => {
    const store = await open();
    const run = await TestRun.open(store, 't');
    await Promise.all(
      Array.from({ length: 80 }, (_, seq) => run.append(run.chunkFrom(seq, incompressible(100_000, seq)))),
    );
    await store.trim('t', 80);
    const db = new Database(path, { readonly: true });
    while (Number(db.pragma('freelist_count', { simple: true })) > 1024) await turn();
    db.close();
    assert.equal((await store.size()).chunks, 0);
  });

  test('lets the process end after close', async () => {
    const script = `
      const { openSqliteStore } = await import(${moduleUrl('./sqlite.ts')});
      const store = await openSqliteStore({ path: ${JSON.stringify(path)} });
      await store.head('t');
      store.wait('t', { nextLine: 1, revision: 0 }, new AbortController().signal).catch(() => console.log('closed'));
      await store.close();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output, exit] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    assert.deepEqual([output, exit], ['closed\n', [0, null]]);
  });

  test('what was acknowledged survives SIGKILL, in order', async () => {
    // Prints "run seq" for each line as soon as it is acknowledged.
    const script = `
      const { writeSync } = await import('node:fs');
      const { openSqliteStore } = await import(${moduleUrl('./sqlite.ts')});
      const { TestRun } = await import(${moduleUrl('./conformance-run.ts')});
      const store = await openSqliteStore({ path: ${JSON.stringify(path)} });
      const run = await TestRun.open(store, 't');
      for (let seq = 0; ; ) {
        const group = Array.from({ length: 1 + (seq % 7) }, () => seq++);
        await Promise.all(group.map(async (seq) => {
          await run.append(run.chunkFrom(seq, run.run + ' ' + seq));
          writeSync(1, run.run + ' ' + seq + '\\n');
        }));
      }`;
    const acknowledged = new Map<string, number>();
    for (const acks of [1, 30, 200, 1000]) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines: string[] = [];
      let rest = '';
      for await (const data of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
        const parts = (rest + data).split('\n');
        rest = parts.pop() ?? '';
        lines.push(...parts);
        if (lines.length >= acks) child.kill('SIGKILL');
      }
      assert.ok(lines.length >= acks);
      for (const line of lines) {
        const [run, seq] = line.split(' ');
        acknowledged.set(run, Math.max(acknowledged.get(run) ?? 0, Number(seq)));
      }
    }
    const store = await open();
    const lines = (await linesOf(store, { task: 't', line: 1 })).map((line) => line.split(' '));
    for (const [run, last] of acknowledged) {
      const seqs = lines.filter(([, owner]) => owner === run).map(([, , seq]) => Number(seq));
      assert.deepEqual(
        seqs,
        Array.from(seqs, (_, index) => index),
      );
      assert.ok(seqs.length > last, `${run}: ${seqs.length} lines, ${last} was acknowledged`);
      const opened = await store.open({ ...openRun('t'), run, epoch: store.epoch(), ackedSeq: last + 1 });
      assert.deepEqual([opened.nextSeq, opened.epoch], [seqs.length, store.epoch()]);
    }
  });
});

function moduleUrl(name: string): string {
  return JSON.stringify(new URL(name, import.meta.url).href);
}

function alter(path: string, sql: string): void {
  const db = new Database(path);
  db.exec(sql);
  db.close();
}

/** Text that compression can't make small, another one for each seed. */
const MIB = 1024 * 1024;

function incompressible(bytes: number, seed: number): string {
  let state = seed + 1;
  return Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return String.fromCharCode(33 + ((state >> 8) % 94));
  }).join('');
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** A disk of that many MiB, or undefined where it can't be had. */
function mountDisk(path: string, mebibytes: number): { path: string; unmount: () => void } | undefined {
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    // Not root, no such program, or a container without the right: all the same here.
    return undefined;
  }
  return { path, unmount: () => void execFileSync('umount', [path]) };
}
