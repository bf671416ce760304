import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { constants, crc32, zstdCompressSync } from 'node:zlib';
import {
  checkCrc,
  CHUNK_HEADER_BYTES,
  ChunkError,
  CODEC_GAP,
  CODEC_PLAIN,
  CODEC_ZSTD,
  encodeChunk,
  encodeGap,
  MAX_CHUNK_BYTES,
  MAX_LINES,
  readHeader,
} from './chunk.ts';
import { GAP_REASONS } from './gap-reasons.ts';
import { clipChunk, decodeLines, decompress, encodeLines, type LineInput } from './columns.ts';
import { KIND_CR, kindOf, PAIRS } from './line.ts';

const RUN = '01JDVZ5W3HXJ4B8Q2Q5S7Y9ZAB';
const LINES: LineInput[] = [
  { time: 1_767_322_200_000, kind: kindOf('stdout', 'INFO'), text: Buffer.from('hello') },
  { time: 1_767_322_199_999, kind: kindOf('stderr', 'ERROR') | KIND_CR, text: Buffer.from('é') },
  { time: 1_767_322_200_300, kind: kindOf('agent', 'WARN'), text: Buffer.from('') },
];

/** Written by hand from the diagram in chunk.ts. */
const GOLDEN_LINES = [
  '4b43 01 00 ________', // magic, version, plain, crc
  '019377f2f071ec88b45c572e4fe4fd4b', // run
  '0700000000000000', // firstSeq 7
  '03000000', // count
  '01 00 0000', // flags: a \r; reason, reserved
  'bfa79c7c9b010000', // minTime
  'eca89c7c9b010000', // maxTime
  '0a000000', // textBytes: 6 + 3 + 1
  '14000000', // rawBytes: 10 + 1 + 1 + 2 + 3 + 3
  '14000000', // bodyBytes
  '0000 0100 0000 0000  0000 0000 0000 0100  0000 0000 0100 0000', // counts
  '68656c6c6f0a c3a90a 0a', // text
  '02 01 da04', // times: +1, -1, +301, zigzag
  '04 4d 0a', // kinds
  '05 02 00', // lengths
]
  .join('')
  .replaceAll(' ', '');

const GOLDEN_GAP = [
  '4b43 01 02 ________',
  '019377f2f071ec88b45c572e4fe4fd4b',
  '0a00000000000000', // firstSeq 10
  'a0860100', // count 100,000
  '00 03 0000', // corrupt is 2, trimmed 3
  'c0a79c7c9b010000 c0a79c7c9b010000',
  '00000000 00000000 00000000',
  '00'.repeat(24),
]
  .join('')
  .replaceAll(' ', '');

describe('a chunk', () => {
  test('has the bytes of the diagram', () => {
    const chunk = encodeLines(RUN, 7, LINES);
    assert.equal(withoutCrc(chunk), GOLDEN_LINES);
    assert.equal(chunk.readUInt32LE(4), crc32(chunk.subarray(8)));
  });

  test('that is a gap has the bytes of the diagram', () => {
    const gap = encodeGap({ run: RUN, firstSeq: 10, count: 100_000, reason: 'trimmed', time: 1_767_322_200_000 });
    assert.equal(withoutCrc(gap), GOLDEN_GAP);
    assert.equal(readHeader(gap).reason, 'trimmed');
  });

  test('has the diagram in its head comment that the header was written by', () => {
    const source = readFileSync(new URL('chunk.ts', import.meta.url), 'utf8');
    const rows = [...source.matchAll(/^ \* +(\d+) +(\d+) +(\w+) /gm)].map(([, offset, size, field]) => ({
      offset: +offset,
      size: +size,
      field,
    }));
    assert.equal(rows.length, 16);
    let offset = 0;
    for (const row of rows) {
      assert.equal(row.offset, offset, row.field);
      offset += row.size;
    }
    assert.equal(offset, CHUNK_HEADER_BYTES);
  });

  test('gives back its lines', () => {
    assert.deepEqual(linesOf(encodeLines(RUN, 7, LINES)), LINES);
  });

  test('gives back metadata, line ends within a line, and any bytes', () => {
    const lines: LineInput[] = [
      { time: 0, kind: 0, text: Buffer.from([0, 255, 10, 10, 128]), metadata: '{"a":"é"}' },
      { time: 2 ** 47, kind: 0, text: Buffer.from('x'.repeat(5000)) },
    ];
    assert.deepEqual(linesOf(encodeLines(RUN, 0, lines)), lines);
  });

  test('may be empty lines as many as it can count', () => {
    const chunk = encodeLines(
      RUN,
      0,
      Array.from({ length: MAX_LINES }, () => ({ time: 5, kind: 0, text: Buffer.alloc(0) })),
    );
    assert.equal(linesOf(chunk).length, MAX_LINES);
  });

  test('of more lines than it can count is refused', () => {
    const lines = Array.from({ length: MAX_LINES + 1 }, () => ({ time: 5, kind: 0, text: Buffer.alloc(0) }));
    assert.throws(() => encodeLines(RUN, 0, lines), { name: 'ChunkError', field: 'count' });
  });

  test('is clipped to the lines from a seq on', () => {
    const clipped = clipChunk(encodeLines(RUN, 7, LINES), 8);
    assert.equal(readHeader(clipped).firstSeq, 8);
    assert.deepEqual(linesOf(clipped), LINES.slice(1));
    const gap = readHeader(clipChunk(encodeGap({ run: RUN, firstSeq: 0, count: 10, reason: 'dropped', time: 1 }), 4));
    assert.deepEqual([gap.firstSeq, gap.count, gap.reason], [4, 6, 'dropped']);
  });
});

describe('a header that lies is refused', () => {
  const big = encodeLines(RUN, 7, [{ time: 1, kind: 0, text: Buffer.alloc(5000, 'a') }]);
  const gap = encodeGap({ run: RUN, firstSeq: 1, count: 1, reason: 'dropped', time: 1 });
  const rows: [field: string, of: Buffer, change: (bytes: Buffer) => unknown][] = [
    ['magic', big, (bytes) => (bytes[0] = 0)],
    ['version', big, (bytes) => (bytes[2] = 2)],
    ['codec', big, (bytes) => (bytes[3] = 9)],
    ['firstSeq', big, (bytes) => (bytes[31] = 1)],
    ['count', big, (bytes) => bytes.writeUInt32LE(0, 32)],
    ['count', big, (bytes) => bytes.writeUInt32LE(MAX_LINES + 1, 32)],
    ['count', gap, (bytes) => bytes.fill(255, 24, 30)],
    ['flags', big, (bytes) => (bytes[36] = 8)],
    ['reason', big, (bytes) => (bytes[37] = 1)],
    ['reason', gap, (bytes) => (bytes[37] = GAP_REASONS.length)],
    ['reserved', big, (bytes) => (bytes[38] = 1)],
    ['minTime', big, (bytes) => (bytes[40] = 2)],
    ['maxTime', big, (bytes) => (bytes[55] = 1)],
    ['textBytes', big, (bytes) => bytes.writeUInt32LE(0, 56)],
    ['textBytes', big, (bytes) => bytes.writeUInt32LE(2 ** 21, 56)],
    ['rawBytes', big, (bytes) => bytes.writeUInt32LE(2 ** 30, 60)],
    ['rawBytes', big, (bytes) => bytes.writeUInt32LE(5001, 60)],
    ['bodyBytes', big, (bytes) => bytes.writeUInt32LE(1, 64)],
    ['bodyBytes', gap, (bytes) => bytes.writeUInt32LE(5, 56)],
    ['counts', big, (bytes) => bytes.writeUInt16LE(2, 68)],
    ['counts', gap, (bytes) => bytes.writeUInt16LE(2, 68)],
  ];
  for (const [field, of, change] of rows) {
    test(`${field}: ${change.toString().replace('(bytes) => ', '')}`, () => {
      const bytes = Buffer.from(of);
      change(bytes);
      assert.throws(() => readHeader(bytes), { name: 'ChunkError', field });
    });
  }

  test('cut anywhere', () => {
    for (let length = 0; length < big.length; length++) {
      assert.throws(() => readHeader(big.subarray(0, length)), ChunkError, `${length} bytes`);
    }
  });

  test('and any changed byte breaks the CRC', () => {
    for (let at = 4; at < big.length; at++) {
      const bytes = Buffer.from(big);
      bytes[at] ^= 1;
      assert.throws(() => checkCrc(bytes), { field: 'crc' }, `byte ${at}`);
    }
  });

  test('over the limit of a frame', () => {
    assert.throws(() => readHeader(Buffer.alloc(MAX_CHUNK_BYTES + 1)), { field: 'length' });
  });
});

describe('a body that contradicts its header is refused', () => {
  const counts = new Uint16Array(PAIRS);
  counts[0] = 1;
  const fields = { run: RUN, firstSeq: 0, count: 1, flags: 0, minTime: 1, maxTime: 1, textBytes: 2, counts };
  const good = Buffer.from([0x61, 0x0a, 0, 0, 1]);
  const rows: [what: string, header: Partial<typeof fields>, raw: number[], field?: string][] = [
    ['another time', { maxTime: 2 }, [0x61, 0x0a, 0, 0, 1]],
    ['another kind', {}, [0x61, 0x0a, 0, 4, 1], 'counts'],
    ['a flag more', {}, [0x61, 0x0a, 0, KIND_CR, 1], 'flags'],
    ['a flag less', { flags: 1 }, [0x61, 0x0a, 0, 0, 1], 'flags'],
    ['an unknown source', {}, [0x61, 0x0a, 0, 3, 1]],
    ['no line end', {}, [0x61, 0x61, 0, 0, 1]],
    ['a shorter line', {}, [0x0a, 0x0a, 0, 0, 0]],
    ['a longer line', {}, [0x61, 0x0a, 0, 0, 9]],
    ['something behind', {}, [0x61, 0x0a, 0, 0, 1, 0]],
    ['a number without end', {}, [0x61, 0x0a, 0, 0, 0x81]],
    ['a number too large', {}, [0x61, 0x0a, 0, 0, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81]],
    ['metadata that ends early', { flags: 4 }, [0x61, 0x0a, 0, 0, 1, 9, 0x7b]],
  ];
  test('(and one that does not is read)', () => {
    assert.equal(decodeLines(readHeader(encodeChunk(fields, CODEC_PLAIN, 5, good)), good).count, 1);
  });
  for (const [what, change, raw, field = 'body'] of rows) {
    test(what, () => {
      const body = Buffer.from(raw);
      const header = readHeader(encodeChunk({ ...fields, ...change }, CODEC_PLAIN, body.length, body));
      assert.throws(() => decodeLines(header, body), { name: 'ChunkError', field });
    });
  }

  test('a decompression bomb, before its memory is taken', () => {
    const bomb = zstdCompressSync(Buffer.alloc(512 * 1024 * 1024));
    const header = readHeader(encodeChunk(fields, CODEC_ZSTD, 1024, bomb));
    const before = process.memoryUsage.rss();
    assert.throws(() => decompress(header, bomb), { field: 'body' });
    assert.ok(process.memoryUsage.rss() - before < 64 * 1024 * 1024);
  });

  test('a frame that asks for a window of 128 MiB', () => {
    const body = zstdCompressSync(Buffer.alloc(2000), {
      params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 },
    });
    // The frame header says so: no single segment, window descriptor with exponent 17.
    body[4] = 0;
    const wide = Buffer.concat([body.subarray(0, 5), Buffer.from([(27 - 10) << 3]), body.subarray(5)]);
    const header = readHeader(encodeChunk(fields, CODEC_ZSTD, 2000, wide));
    assert.throws(() => decompress(header, wide), { field: 'body' });
  });

  test('compressed bytes that end early', () => {
    const chunk = encodeLines(RUN, 0, [{ time: 1, kind: 0, text: Buffer.alloc(5000, 'a') }]);
    assert.equal(readHeader(chunk).codec, CODEC_ZSTD);
    const body = chunk.subarray(CHUNK_HEADER_BYTES, -3);
    assert.throws(() => decompress({ ...readHeader(chunk), bodyBytes: body.length }, body), { field: 'body' });
  });
});

function withoutCrc(chunk: Buffer): string {
  const hex = chunk.toString('hex');
  return `${hex.slice(0, 8)}________${hex.slice(16)}`;
}

function linesOf(chunk: Buffer): LineInput[] {
  const header = readHeader(chunk);
  assert.notEqual(header.codec, CODEC_GAP);
  const lines = decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES)));
  return Array.from({ length: lines.count }, (_, i) => {
    const line: LineInput = {
      time: lines.times[i],
      kind: lines.kinds[i],
      text: Buffer.from(lines.text.subarray(lines.starts[i], lines.starts[i + 1] - 1)),
    };
    const metadata = lines.metadata?.[i];
    return metadata === undefined ? line : { ...line, metadata };
  });
}
