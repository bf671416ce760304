import assert from 'node:assert/strict';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { encodeGap } from '../shared/chunk.ts';
import { encodeLines, type LineInput } from '../shared/columns.ts';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_REST, kindOf } from '../shared/line.ts';
import { cat } from './cat.ts';
import type { CatFlags } from './cat-printer.ts';
import { testFolder } from './delivery.fixture.ts';
import { SpoolFile } from './spool-file.ts';

const RUN = '01J00000000000000000000000';
const OUT = kindOf('stdout', 'INFO');
const ERR = kindOf('stderr', 'ERROR');

function spoolOf(t: TestContext, records: Buffer[]): SpoolFile {
  const meta = { task: 't', run: RUN, url: '', workerId: 'w', labels: {}, agentVersion: '1', startedAt: 1 };
  const spool = SpoolFile.create(join(testFolder(t), 'x.spool'), meta);
  t.after(() => spool.close());
  spool.write({ records, limitBytes: Infinity });
  return spool;
}

function lines(firstSeq: number, ...texts: [kind: number, text: string | Buffer][]): Buffer {
  const input: LineInput[] = texts.map(([kind, text], i) => ({
    time: 1_700_000_000_000 + i,
    kind,
    text: Buffer.from(text),
  }));
  return encodeLines(RUN, firstSeq, input);
}

async function print(path: string, flags: CatFlags = {}): Promise<{ code: number; out: Buffer; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const out = stdout.toArray() as Promise<Buffer[]>;
  const err = stderr.toArray() as Promise<Buffer[]>;
  const code = await cat([path], flags, { stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, out: Buffer.concat(await out), err: Buffer.concat(await err).toString() };
}

const plain: [string, [number, string | Buffer][], string | Buffer][] = [
  [
    'lines of both sources in their order',
    [
      [OUT, 'a'],
      [ERR, 'b'],
      [OUT, ''],
    ],
    'a\nb\n\n',
  ],
  ['bytes as they are', [[OUT, Buffer.from([0, 0xff, 0xfe])]], Buffer.from([0, 0xff, 0xfe, 0x0a])],
  [
    'a carriage return in its place',
    [
      [OUT | KIND_CR, 'a'],
      [OUT, 'b'],
    ],
    'a\r\nb\n',
  ],
  [
    'pieces as one line',
    [
      [OUT | KIND_MORE, 'a'],
      [OUT | KIND_MORE | KIND_REST, 'b'],
      [OUT | KIND_REST, 'c'],
    ],
    'abc\n',
  ],
  [
    'pieces with another source between',
    [
      [OUT | KIND_MORE, 'a'],
      [ERR, 'x'],
      [OUT | KIND_REST, 'c'],
    ],
    'x\nac\n',
  ],
  [
    'a last line without its end',
    [
      [OUT, 'a'],
      [OUT | KIND_NO_EOL, 'b'],
    ],
    'a\nb',
  ],
  [
    'a last line without its end, and what came after',
    [
      [OUT | KIND_NO_EOL, 'b'],
      [ERR, 'c'],
    ],
    'b\nc\n',
  ],
  ['pieces whose end never came', [[OUT | KIND_MORE, 'a']], 'a'],
];

describe('cat prints', () => {
  for (const [what, input, expected] of plain) {
    test(what, async (t) => {
      const { code, out, err } = await print(spoolOf(t, [lines(0, ...input)]).path);
      assert.deepEqual([code, out.toString('latin1'), err], [0, Buffer.from(expected).toString('latin1'), '']);
    });
  }

  test('pieces of a line over several records', async (t) => {
    const records = [lines(0, [OUT | KIND_MORE, 'a']), lines(1, [OUT | KIND_REST, 'b'], [OUT, 'c'])];
    assert.equal((await print(spoolOf(t, records).path)).out.toString(), 'ab\nc\n');
  });

  test('the time before each line', async (t) => {
    const { out } = await print(spoolOf(t, [lines(0, [OUT, 'a'], [OUT, 'b'])]).path, { timestamps: true });
    assert.equal(out.toString(), '2023-11-14T22:13:20.000Z a\n2023-11-14T22:13:20.001Z b\n');
  });

  test('an object a line', async (t) => {
    const gap = encodeGap({ run: RUN, firstSeq: 1, count: 3, reason: 'dropped', time: 1 });
    const { out, err } = await print(spoolOf(t, [lines(0, [ERR, 'a"']), gap]).path, { json: true });
    assert.deepEqual(
      out
        .toString()
        .trim()
        .split('\n')
        .map((json) => JSON.parse(json) as unknown),
      [
        { seq: 0, time: '2023-11-14T22:13:20.000Z', source: 'stderr', level: 'ERROR', text: 'a"' },
        { seq: 1, missing: 3, reason: 'dropped' },
      ],
    );
    assert.equal(err, '');
  });

  test('what is missing, on stderr', async (t) => {
    const gap = encodeGap({ run: RUN, firstSeq: 1, count: 1200, reason: 'dropped', time: 1 });
    const died = encodeGap({ run: RUN, firstSeq: 1202, count: 1, reason: 'agent-died', time: 1 });
    const spool = spoolOf(t, [lines(0, [OUT, 'a']), gap, lines(1201, [OUT, 'b']), died]);
    spool.write({ records: [], acked: { seq: 1, epoch: 'e' }, limitBytes: 0 });
    const { out, err } = await print(spool.path);
    assert.equal(out.toString(), 'b\n');
    assert.deepEqual(err.trim().split('\n'), [
      '--- 1 line is missing (the relay has it) ---',
      '--- 1,200 lines are missing (dropped) ---',
      '--- the agent died here; lines may be missing ---',
    ]);
  });
});

const DAMAGES: [string, string, string[]][] = [
  ['bytes', 'UPDATE record SET bytes = substr(bytes, 1, 50) WHERE first_seq = 1', ['1 line is missing (corrupt)']],
  ['a row', 'DELETE FROM record WHERE first_seq = 1', ['1 line is missing (corrupt)']],
  ['a count', 'UPDATE record SET count = 0 WHERE first_seq = 2', []],
];
for (const [what, statement, said] of DAMAGES) {
  test(`a spool where ${what} can not be right is printed as far as it can be read`, async (t) => {
    const spool = spoolOf(t, [lines(0, [OUT, 'one']), lines(1, [OUT, 'two']), lines(2, [OUT, 'three'])]);
    const db = new Database(spool.path);
    db.exec(statement);
    db.close();
    const { code, out, err } = await print(spool.path);
    const whole = said.length === 0 ? 'one\ntwo\nthree\n' : 'one\nthree\n';
    assert.deepEqual({ code, out: out.toString() }, { code: 0, out: whole });
    assert.equal(err, said.map((text) => `--- ${text} ---\n`).join(''));
  });
}

test('a file that can not be read is said, and the others are printed', async (t) => {
  const spool = spoolOf(t, [lines(0, [OUT, 'a'])]);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  assert.equal(await cat(['/nowhere/x.spool', spool.path], {}, { stdout, stderr }), 1);
  assert.equal(String(stdout.read()), 'a\n');
  assert.match(String(stderr.read()), /nowhere\/x\.spool: there is no such file/);
});

test('a reader that leaves ends the printing', async (t) => {
  const records = Array.from({ length: 50 }, (_, i) => lines(i, [OUT, 'x'.repeat(5000)]));
  let written = 0;
  const stdout = new Writable({
    highWaterMark: 1,
    write(_bytes, _encoding, done) {
      written++;
      done(written > 2 ? Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }) : null);
    },
  });
  assert.equal(await cat([spoolOf(t, records).path], {}, { stdout, stderr: new PassThrough() }), 0);
  assert.equal(written, 3);
});
