import assert from 'node:assert/strict';
import type Database from 'better-sqlite3';
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { TestRun } from '../reading.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { alter, madeStore } from './store-file.fixture.ts';
import { findingText } from './verify-text.ts';
import { verifyStore, type Verified, type VerifyOptions } from './verify.ts';

function verified(options: Omit<VerifyOptions, 'onFinding'>): { done: Verified; found: string[] } {
  const found: string[] = [];
  const done = verifyStore({ ...options, onFinding: (finding) => found.push(findingText(finding)) });
  assert.equal(done.findings, found.length);
  return { done, found };
}

test('a sound store is sound, whole, quickly, and task by task', async (t) => {
  const { path } = await madeStore(t);
  const done = { tasks: 2, runs: 3, chunks: 5, lines: 508, findings: 0 };
  assert.deepEqual(verified({ path }), { done, found: [] });
  assert.deepEqual(verified({ path, quick: true }), { done, found: [] });
  assert.deepEqual(verified({ path, task: 'b' }).done, { tasks: 1, runs: 1, chunks: 1, lines: 500, findings: 0 });
});

test('an empty store is sound', async (t) => {
  const { path } = await madeStore(t, () => Promise.resolve());
  assert.deepEqual(verified({ path }).done, { tasks: 0, runs: 0, chunks: 0, lines: 0, findings: 0 });
});

/** Turns over the bits of one byte of a blob. */
function flip(column: 'header' | 'body', position: number, at: number) {
  return (db: Database.Database): void => {
    const bytes = db.prepare<[number], Buffer>(`SELECT ${column} FROM chunk WHERE position = ?`).pluck().get(position);
    assert.ok(bytes);
    bytes[at < 0 ? bytes.length + at : at] ^= 0xff;
    db.prepare(`UPDATE chunk SET ${column} = ? WHERE position = ?`).run(bytes, position);
  };
}

describe('damage is found and named, one sentence a finding', () => {
  const rows: [what: string, damage: string | ((db: Database.Database) => void), found: RegExp[]][] = [
    [
      'a byte of a plain body',
      flip('body', 0, 0),
      [/^task "a", lines 1 to 3: the body can't be read: crc does not match/],
    ],
    ['a byte of a compressed body', flip('body', 10, -1), [/^task "b", lines 1 to 500: the body can't be read: crc/]],
    [
      'the magic of a header',
      flip('header', 0, 0),
      [/^task "a", lines 1 to 3: the header can't be read: magic is not "KC"$/],
    ],
    [
      'the sum of counts in a header',
      flip('header', 0, 68),
      [/^task "a", lines 1 to 3: the header can't be read: counts add up to/],
    ],
    [
      'a time in a header',
      flip('header', 0, 48),
      [
        /^task "a", lines 1 to 3: the header says latest time \d+, its row \d+$/,
        /^task "a", lines 1 to 3: the body can't be read: crc does not match/,
        /^task "a": it says the times: .*; its chunks say/,
      ],
    ],
    [
      'a shortened body',
      'UPDATE chunk SET body = substr(body, 1, 10) WHERE position = 10',
      [/^task "b", lines 1 to 500: the header says a body of \d+ bytes, there are 10$/],
    ],
    ['a body that is gone', 'UPDATE chunk SET body = NULL WHERE position = 10', [/^task "b", .* there are 0$/]],
    [
      'a gap with a body',
      "UPDATE chunk SET body = x'00' WHERE position = 3",
      [/^task "a", lines 4 to 5: it is a gap and has a body$/],
    ],
    [
      'the count in a row',
      'UPDATE chunk SET count = 4 WHERE position = 8',
      [
        /^task "a", lines 9 to 12: the header says count 2, its row 4$/,
        /^task "a": its next line is 11, and there are lines up to 12$/,
        /^task "a", run \w+: its next seq is 2, its chunks end at 4$/,
        /^position 10 was given twice$/,
      ],
    ],
    [
      'a chunk that is gone',
      'DELETE FROM chunk WHERE position = 5',
      [
        /^task "a", lines 6 to 8: no chunk holds them$/,
        /^the store says 5 chunks, there are 4$/,
        /^the store says \d+ bytes of chunks, there are \d+$/,
        /^task "a": it says lines: 8; its chunks say 5$/,
        /^task "a": it says bytes of text: /,
        /^task "a": it says bytes of chunks: /,
        /^task "a": it says lines per source and level: /,
        /^task "a", run \w+: its next seq is 8, its chunks end at 5$/,
      ],
    ],
    [
      'the last chunk, gone',
      'DELETE FROM chunk WHERE position = 8; UPDATE store SET chunks = chunks - 1',
      [
        /^task "a", lines 9 to 10: no chunk holds them$/,
        /^the store says \d+ bytes of chunks/,
        /^task "a": it says lines: 8; its chunks say 6$/,
        /^task "a": it says bytes of text/,
        /^task "a": it says bytes of chunks/,
        /^task "a": it says lines per source/,
        /^task "a", run \w+: its next seq is 2, its chunks end at 0$/,
      ],
    ],
    [
      'a chunk in the place of another',
      'UPDATE chunk SET first_line = 7 WHERE position = 8',
      [/^task "a", lines 7 to 8: they are stored twice$/, /^task "a", lines 9 to 10: no chunk holds them$/],
    ],
    [
      'a chunk of another run',
      'UPDATE chunk SET run = 1 WHERE position = 8',
      [
        /^task "a", lines 9 to 10: the header says run \w+, its row \w+$/,
        /^task "a", run \w+, lines 9 to 10: they begin at its seq 0, which should be 8$/,
        /^task "a", run \w+: its next seq is 8, its chunks end at 2$/,
        /^task "a", run \w+: its next seq is 2, its chunks end at 0$/,
      ],
    ],
    [
      'a position that comes too early',
      'UPDATE chunk SET position = 2000 WHERE position = 0; UPDATE store SET next_position = 3000',
      [/^task "a", lines 4 to 5: position 3 stands behind position 2002$/],
    ],
    [
      "the store's next position",
      'UPDATE store SET next_position = 9',
      [/^the store's next position is 9, and 509 is taken$/],
    ],
    ["the store's count of chunks", 'UPDATE store SET chunks = 6', [/^the store says 6 chunks, there are 5$/]],
    ["the store's row", 'DELETE FROM store', [/^the row that counts for the whole store is gone$/]],
    [
      "a task's lines",
      "UPDATE task SET lines = 9 WHERE task = 'a'",
      [/^task "a": it says lines: 9; its chunks say 8$/],
    ],
    [
      "a task's missing lines",
      "UPDATE task SET missing = 0 WHERE task = 'a'",
      [/^task "a": it says missing lines: 0; its chunks say 2$/],
    ],
    [
      "a task's counts",
      "UPDATE task SET counts = '[1]' WHERE task = 'a'",
      [/^task "a": it says lines per source and level: \[1\]; /],
    ],
    [
      "a task's times",
      "UPDATE task SET max_time = 1 WHERE task = 'a'",
      [/^task "a": it says the times: \d+ to 1; its chunks say/],
    ],
    [
      "a task's next line",
      "UPDATE task SET next_line = 12 WHERE task = 'a'",
      [/^task "a", line 11: no chunk holds them$/],
    ],
    ["a task's runs", "UPDATE task SET runs = 3 WHERE task = 'a'", [/^task "a": it says 3 runs, there are 2$/]],
    [
      "a task's open runs",
      "UPDATE task SET open_runs = 0 WHERE task = 'a'",
      [/^task "a": it says 0 open runs, there are 2$/],
    ],
    ["a task's newest run", "UPDATE task SET newest_run = 77 WHERE task = 'a'", [/^task "a": its newest run is gone$/]],
    [
      "a run's digest",
      "UPDATE run SET digest = '00' WHERE id = 3",
      [/^task "b", run \w+: its digest is 00, its chunks give \w+$/],
    ],
    [
      "a run's next seq",
      'UPDATE run SET next_seq = 9 WHERE id = 1',
      [/^task "a", run \w+: its next seq is 9, its chunks end at 8$/],
    ],
    [
      "a run's lines",
      'UPDATE run SET lines = 9 WHERE id = 1',
      [/^task "a", run \w+: it says lines: 9; its chunks say 6$/],
    ],
    [
      'a task that is gone',
      "DELETE FROM task WHERE task = 'b'",
      [/^there are 1 chunks of tasks that are not there$/, /^there are 1 runs of tasks that are not there$/],
    ],
    [
      'what was trimmed and is still there',
      "UPDATE task SET trimmed_line = 3 WHERE task = 'a'",
      [/^task "a", lines 1 to 3: they were trimmed and are still there$/],
    ],
    [
      "a merged chunk's pieces",
      'UPDATE chunk SET runs = 2 WHERE position = 0',
      [/^task "a", lines 1 to 3: it was merged, and its pieces are gone$/],
    ],
    [
      'pieces without a chunk',
      "INSERT INTO merged VALUES (77, 78, x'00')",
      [/^there are 1 lists of pieces without a chunk$/],
    ],
  ];
  for (const [what, damage, expected] of rows) {
    test(what, async (t) => {
      const { path } = await madeStore(t);
      alter(path, damage);
      const { found } = verified({ path });
      const left = found.filter((sentence) => !expected.some((one) => one.test(sentence)));
      assert.deepEqual(left, [], 'findings that were not expected');
      for (const one of expected)
        assert.ok(
          found.some((sentence) => one.test(sentence)),
          `${String(one)} in ${found.join('\n')}`,
        );
    });
  }
});

test('a damaged page of the file is found, and what can be read still is', async (t) => {
  const { path } = await madeStore(t);
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(300, 0xa5), 0, 300, statSync(path).size - 4096);
  closeSync(file);
  const { done, found } = verified({ path });
  assert.ok(found.length > 0);
  assert.equal(done.tasks, 2);
});

test('merged chunks are sound, also of several runs, and after a trim within one', async (t) => {
  const { path } = await madeStore(t, fillLoosely);
  assert.deepEqual(verified({ path }).found, []);
  alter(path, (db) => {
    const merged = db.prepare<[], number>('SELECT count(*) FROM merged').pluck().get();
    assert.ok(merged !== undefined && merged > 0);
  });
});

describe('damage to merged chunks is found and named', () => {
  const rows: [what: string, damage: string, found: RegExp][] = [
    ['pieces that can’t be read', "UPDATE merged SET pieces = x'00ff'", /the list of pieces can't be read/],
    ['pieces of another chunk', 'UPDATE merged SET pieces = (SELECT pieces FROM merged LIMIT 1)', /^task /],
    ['pieces that are gone', 'DELETE FROM merged', /it was merged, and its pieces are gone/],
    ['the end of the pieces', 'UPDATE merged SET last_position = 7', /its last piece is not where it should end/],
    [
      'how many runs there are',
      'UPDATE chunk SET runs = 9 WHERE runs > 0',
      /its pieces are of \d runs, its row says 9/,
    ],
    ['a run', 'DELETE FROM run WHERE id = 2', /they are of a run that the task does not have/],
    [
      "a run's lines",
      'UPDATE run SET lines = 21 WHERE id = 4',
      /^task "u", run \w+: it says lines: 21; its chunks say 20$/,
    ],
  ];
  for (const [what, damage, expected] of rows) {
    test(what, async (t) => {
      const { path } = await madeStore(t, fillLoosely);
      alter(path, damage);
      const { found } = verified({ path });
      assert.ok(
        found.some((sentence) => expected.test(sentence)),
        found.join('\n'),
      );
    });
  }
});

/** Three runs that write in turn, merged, and trimmed in the middle of a chunk. */
async function fillLoosely(store: Awaited<ReturnType<typeof openSqliteStore>>): Promise<void> {
  for (const task of ['t', 'u']) {
    const runs = [0, 1, 2].map(() => new TestRun({ store }, task));
    for (const run of runs) await run.open();
    for (let n = 0; n < 30; n++) await runs[n % 3].write(`line ${n}`, `and ${n}`);
  }
  const alone = await new TestRun({ store }, 'alone').open();
  for (let n = 0; n < 10; n++) await alone.write(`line ${n}`);
  await store.settle();
  await store.trim('t', 7);
}

describe('only what is asked for is checked', () => {
  test('bodies are not read when it has to be quick', async (t) => {
    const { path } = await madeStore(t);
    alter(path, flip('body', 0, 0));
    assert.equal(verified({ path, quick: true }).done.findings, 0);
    assert.equal(verified({ path }).done.findings, 1);
  });

  test('one task, and what is wrong with others is not said', async (t) => {
    const { path } = await madeStore(t);
    alter(path, "UPDATE task SET lines = 9 WHERE task = 'a'");
    assert.equal(verified({ path, task: 'b' }).done.findings, 0);
    assert.equal(verified({ path, task: 'a' }).done.findings, 1);
  });

  test('a task that is not there', async (t) => {
    const { path } = await madeStore(t);
    assert.throws(() => verified({ path, task: 'z' }), /^Error: there is no task "z" in /);
  });
});

test('of very many findings the first are told, and all are counted', async (t) => {
  const { path } = await madeStore(t);
  alter(path, 'UPDATE run SET lines = 77, missing = 77');
  const told: object[] = [];
  const done = verifyStore({ path, maxFindings: 2, onFinding: (finding) => told.push(finding) });
  assert.deepEqual([told.length, done.findings], [2, 6]);
});

test('a store that a relay is writing to is checked as it is at one moment', async (t) => {
  const { path } = await madeStore(t);
  const store = await openSqliteStore({ path });
  try {
    const run = await new TestRun({ store }, 't').open();
    const other = await new TestRun({ store }, 't').open();
    const flood = { over: false };
    const flooded = (async () => {
      while (!flood.over) await other.write(`line ${other.seq}`);
    })();
    const looks: { lines: number; least: number; found: string[] }[] = [];
    for (let n = 0; n < 5; n++) {
      await run.write('one more');
      const least = 508 + run.seq + other.seq;
      const { done, found } = verified({ path });
      looks.push({ lines: done.lines, least, found });
    }
    flood.over = true;
    await flooded;
    for (const { lines, least, found } of looks) {
      assert.deepEqual(found, []);
      assert.ok(lines >= least);
    }
  } finally {
    await store.close();
  }
});
