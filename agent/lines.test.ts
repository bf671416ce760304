import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUILDER_BYTES, ChunkBuilder } from '../shared/chunk-builder.ts';
import { CODEC_PLAIN, encodeChunk, readHeader } from '../shared/chunk.ts';
import { decodeLines } from '../shared/columns.ts';
import {
  KIND_CR,
  KIND_MORE,
  KIND_NO_EOL,
  KIND_REST,
  levelOf,
  sourceOf,
  type Level,
  type Source,
} from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { everyCut } from '../test/cuts.ts';
import { LineSplitter, MAX_PIECE_BYTES, utf8Boundary, type LineOptions } from './lines.ts';

interface Read {
  text: string;
  level: Level;
  flags: string;
  time: number;
}

/** A splitter and the lines that came out of it, read back from its chunks. */
function harness(source: Source = 'stdout', options: Partial<LineOptions> = {}) {
  const run = newUlid(0);
  const lines: Read[] = [];
  const chunks: { count: number; textBytes: number }[] = [];
  const builder = new ChunkBuilder(Buffer.alloc(BUILDER_BYTES));
  let seq = 0;
  const seal = () => {
    if (builder.count === 0) return;
    const { fields, raw } = builder.seal(run, seq, Buffer.alloc(BUILDER_BYTES));
    const header = readHeader(encodeChunk(fields, CODEC_PLAIN, raw.length, raw));
    const read = decodeLines(header, raw);
    for (let i = 0; i < read.count; i++) {
      assert.equal(sourceOf(read.kinds[i]), source);
      lines.push({
        text: read.text.toString('latin1', read.starts[i], read.starts[i + 1] - 1),
        level: levelOf(read.kinds[i]),
        flags: flagNames(read.kinds[i]),
        time: read.times[i],
      });
    }
    chunks.push({ count: read.count, textBytes: header.textBytes });
    seq += read.count;
  };
  const splitter = new LineSplitter({ builder, seal }, source, { level: 'DEBUG', ...options });
  return { splitter, seal, lines, chunks };
}

function flagNames(kind: number): string {
  const names = [
    [KIND_REST, 'rest'],
    [KIND_MORE, 'more'],
    [KIND_CR, 'cr'],
    [KIND_NO_EOL, 'no-eol'],
  ] as const;
  return names
    .filter(([flag]) => (kind & flag) !== 0)
    .map(([, name]) => name)
    .join(' ');
}

function split(parts: Buffer[], source: Source = 'stdout', options: Partial<LineOptions> = {}): Read[] {
  const { splitter, seal, lines } = harness(source, options);
  for (const part of parts) splitter.push(part, 1000);
  splitter.end(1000);
  seal();
  return lines;
}

const texts = (lines: Read[]) => lines.map(({ text, flags }) => (flags === '' ? text : `${text} <${flags}>`));

describe('lines of a stream, however it is cut', () => {
  const rows: [what: string, input: string | Buffer, expected: string[]][] = [
    ['nothing', '', []],
    ['a line', 'one\n', ['one']],
    ['lines', 'one\ntwo\nthree\n', ['one', 'two', 'three']],
    ['a last line without a line end', 'one\ntwo', ['one', 'two <no-eol>']],
    ['empty lines', '\n\n\na\n\n', ['', '', '', 'a', '']],
    ['\\r\\n', 'one\r\ntwo\r\n\r\n', ['one <cr>', 'two <cr>', ' <cr>']],
    ['\\r\\n and \\n', 'one\r\ntwo\nthree\r\n', ['one <cr>', 'two', 'three <cr>']],
    ['\\r within a line', '10%\r20%\r30%\ndone\n', ['10%\r20%\r30%', 'done']],
    ['a \\r too many', 'one\r\r\n', ['one\r <cr>']],
    ['a last \\r', 'one\r', ['one\r <no-eol>']],
    ['NUL bytes', 'a\0b\n\0\n', ['a\0b', '\0']],
    [
      'invalid UTF-8',
      Buffer.from([0xff, 0xfe, 0x0a, 0xc3, 0x0a, 0xe3, 0x81]),
      ['\xff\xfe', '\xc3', '\xe3\x81 <no-eol>'],
    ],
    ['Japanese and emoji', 'テスト🎉\nend\n', [Buffer.from('テスト🎉').toString('latin1'), 'end']],
  ];
  for (const [what, input, expected] of rows) {
    test(what, () => {
      const bytes = Buffer.from(input);
      assert.deepEqual(texts(split([bytes])), expected);
      everyCut(bytes, (parts) => split(parts));
    });
  }

  test('levels of the lines', () => {
    const input = Buffer.from('plain\n2026-01-02 INFO a\n2026-01-02 WARN b\n{"level":"debug"}\n2026-01-02 INFO c\n');
    const expected = ['INFO', 'INFO', 'WARN', 'DEBUG', 'INFO'];
    assert.deepEqual(
      split([input]).map(({ level }) => level),
      expected,
    );
    assert.deepEqual(
      split([input], 'stderr').map(({ level }) => level),
      ['ERROR', ...expected.slice(1)],
    );
    everyCut(input, (parts) => split(parts));
  });
});

describe('a line longer than a piece', () => {
  const rows: [what: string, input: Buffer, lengths: number[], flags: string[]][] = [
    ['of exactly a piece', Buffer.from(`${'a'.repeat(MAX_PIECE_BYTES)}\nb\n`), [MAX_PIECE_BYTES, 1], ['', '']],
    [
      'of exactly a piece with \\r\\n',
      Buffer.from(`${'a'.repeat(MAX_PIECE_BYTES)}\r\nb\n`),
      [MAX_PIECE_BYTES, 1],
      ['cr', ''],
    ],
    [
      'of a byte more',
      Buffer.from(`${'a'.repeat(MAX_PIECE_BYTES + 1)}\nb\n`),
      [MAX_PIECE_BYTES, 1, 1],
      ['more', 'rest', ''],
    ],
    [
      'of a byte more with \\r\\n',
      Buffer.from(`${'a'.repeat(MAX_PIECE_BYTES + 1)}\r\n`),
      [MAX_PIECE_BYTES, 1],
      ['more', 'rest cr'],
    ],
    [
      'of a byte more at the end',
      Buffer.from(`${'a'.repeat(MAX_PIECE_BYTES)}\r`),
      [MAX_PIECE_BYTES, 1],
      ['more', 'rest no-eol'],
    ],
    [
      'of three pieces',
      Buffer.from(`${'a'.repeat(3 * MAX_PIECE_BYTES)}\n`),
      [MAX_PIECE_BYTES, MAX_PIECE_BYTES, MAX_PIECE_BYTES],
      ['more', 'rest more', 'rest'],
    ],
    [
      'that would be cut in a character',
      Buffer.from(`${'é'.repeat(MAX_PIECE_BYTES / 2 - 1)}aéb\n`),
      [MAX_PIECE_BYTES - 1, 3],
      ['more', 'rest'],
    ],
  ];
  for (const [what, input, lengths, flags] of rows) {
    test(what, () => {
      const whole = split([input]);
      assert.deepEqual(
        whole.map(({ text }) => text.length),
        lengths,
      );
      assert.deepEqual(
        whole.map((line) => line.flags),
        flags,
      );
      for (const size of [
        65_536,
        65_537,
        MAX_PIECE_BYTES - 1,
        MAX_PIECE_BYTES,
        MAX_PIECE_BYTES + 1,
        MAX_PIECE_BYTES + 2,
      ]) {
        const parts: Buffer[] = [];
        for (let at = 0; at < input.length; at += size) parts.push(input.subarray(at, at + size));
        assert.deepEqual(split(parts), whole, `in blocks of ${size}`);
      }
    });
  }

  test('hands its level on', () => {
    const lines = split([Buffer.from(`WARN ${'a'.repeat(MAX_PIECE_BYTES)} ERROR\nplain\n`)]);
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['WARN', 'WARN', 'INFO'],
    );
  });
});

describe('a line that has not ended', () => {
  const rows: [what: string, steps: string[], expected: string[]][] = [
    ['is shipped as a prompt', ['Name? ', 'release', 'Ada\n'], ['Name?  <more>', 'Ada <rest>']],
    ['ends empty', ['Name?', 'release', '\n', 'next\n'], ['Name? <more>', ' <rest>', 'next']],
    ['never ends', ['Name?', 'release'], ['Name? <more>']],
    ['is shipped up to its last \\r', ['10%\r20%\r30', 'release', '%\n'], ['10%\r20% <more>', '\r30% <rest>']],
    ['is shipped whole behind a leading \\r', ['\rPassword: ', 'release', '\n'], ['\rPassword:  <more>', ' <rest>']],
    ['keeps a trailing \\r, which may begin a line end', ['20%\r', 'release', '\n'], ['20% <more>', ' <rest cr>']],
    ['keeps a lone \\r', ['\r', 'release', '\n'], [' <cr>']],
    ['keeps an incomplete character', ['a\xe3\x81', 'release', '\x82\n'], ['a <more>', '\xe3\x81\x82 <rest>']],
    ['is released again and again', ['a', 'release', 'b', 'release', 'c\n'], ['a <more>', 'b <rest more>', 'c <rest>']],
    ['has nothing to release', ['a\n', 'release', 'b\n'], ['a', 'b']],
  ];
  for (const [what, steps, expected] of rows) {
    test(what, () => {
      const { splitter, seal, lines } = harness();
      for (const step of steps) {
        if (step === 'release') splitter.release(1000);
        else splitter.push(Buffer.from(step, 'latin1'), 1000);
      }
      splitter.end(1000);
      seal();
      assert.deepEqual(texts(lines), expected);
    });
  }
});

describe('options', () => {
  test('a level keeps lines below it out', () => {
    const input = Buffer.from('INFO a\nWARN b\nDEBUG c\nERROR d\nplain\n');
    assert.deepEqual(texts(split([input], 'stdout', { level: 'WARN' })), ['WARN b', 'ERROR d']);
    everyCut(input, (parts) => split(parts, 'stdout', { level: 'WARN' }));
  });

  test('a longest message cuts and says so', () => {
    const input = Buffer.from('short\nabcdefghijklmno\néééééééé\n');
    assert.deepEqual(texts(split([input], 'stdout', { maxMessageLength: 9 })), [
      'short',
      'abcdefghi [+6 bytes cut]',
      `${Buffer.from('éééé').toString('latin1')} [+8 bytes cut]`,
    ]);
    everyCut(input, (parts) => split(parts, 'stdout', { maxMessageLength: 9 }));
  });

  test('a longest message cuts a line of several pieces once', () => {
    const input = Buffer.from(`${'a'.repeat(MAX_PIECE_BYTES * 3)}\nnext\n`);
    const lines = split([input], 'stdout', { maxMessageLength: 10 });
    assert.deepEqual(texts(lines), ['aaaaaaaaaa <more>', ` [+${MAX_PIECE_BYTES * 3 - 10} bytes cut] <rest>`, 'next']);
  });
});

describe('chunks', () => {
  test('hold as much text as they may, and go on with the next line', () => {
    const { splitter, seal, lines, chunks } = harness();
    const line = `${'x'.repeat(99)}\n`;
    for (let i = 0; i < 60; i++) splitter.push(Buffer.from(line.repeat(100)), i);
    seal();
    assert.equal(lines.length, 6000);
    assert.deepEqual(
      chunks.map(({ textBytes }) => textBytes),
      [262_100, 262_100, 75_800],
    );
  });

  test('hold as many empty lines as they can count', () => {
    const { splitter, seal, chunks } = harness();
    splitter.push(Buffer.alloc(70_000, '\n'), 1);
    seal();
    assert.deepEqual(
      chunks.map(({ count }) => count),
      [65_535, 4465],
    );
  });

  test('survive a clock that jumps with every block', () => {
    const { splitter, seal, lines } = harness();
    const times = Array.from({ length: 30_000 }, (_, i) => (i % 2 === 0 ? 2 ** 41 : 5));
    for (const time of times) splitter.push(Buffer.from('a\n'), time);
    seal();
    assert.deepEqual(
      lines.map(({ time }) => time),
      times,
    );
  });
});

test('the boundary of UTF-8 sequences', () => {
  const rows: [bytes: number[], at: number, boundary: number][] = [
    [[0x61, 0x62], 2, 2],
    [[0x61, 0xc3], 2, 1],
    [[0x61, 0xc3, 0xa9], 3, 3],
    [[0x61, 0xc3, 0xa9], 2, 1],
    [[0xe3, 0x81, 0x82], 2, 0],
    [[0xf0, 0x9f, 0x8e, 0x89], 3, 0],
    [[0xf0, 0x9f, 0x8e, 0x89], 4, 4],
    [[0x80, 0x80, 0x80, 0x80], 4, 4],
    [[], 0, 0],
  ];
  for (const [bytes, at, boundary] of rows)
    assert.equal(utf8Boundary(Buffer.from(bytes), at), boundary, bytes.join(' '));
});
