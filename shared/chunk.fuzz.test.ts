import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { hunt } from '../test/fuzz/hunt.ts';
import { mutations } from '../test/fuzz/mutations.ts';
import { ChunkBuilder, BUILDER_BYTES } from './chunk-builder.ts';
import {
  checkCrc,
  CHUNK_HEADER_BYTES,
  ChunkError,
  clipGap,
  CODEC_GAP,
  CODEC_PLAIN,
  CODEC_ZSTD,
  encodeChunk,
  encodeGap,
  FLAG_CR,
  FLAG_METADATA,
  FLAG_PIECES,
  MAX_LINES,
  MAX_RAW_BYTES,
  readHeader,
  type ChunkHeader,
} from './chunk.ts';
import { clipChunk, decodeLines, decompress, encodeLines, type LineInput, type Lines } from './columns.ts';
import { GAP_REASONS } from './gap-reasons.ts';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_REST, pairOf, PAIRS } from './line.ts';

const RUN = '01JDVZ5W3HXJ4B8Q2Q5S7Y9ZAB';

const time = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1_767_322_200_000, max: 1_767_322_200_300 }) },
  fc.constantFrom(0, 1, 2 ** 31, 2 ** 47, 2 ** 48 - 1),
);
const kind = fc.nat(255).filter((one) => (one & 3) !== 3);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 30 }).map((one) => Buffer.from(one)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 30 }).map((one) => Buffer.from(one)) },
  fc.constantFrom(Buffer.alloc(0), Buffer.from('\n\n\r'), Buffer.alloc(127, 'a'), Buffer.alloc(3000, 'b')),
);
const bare = fc.record({ time, kind, text }, { noNullPrototype: true });
const line: fc.Arbitrary<LineInput> = fc.oneof(
  { weight: 4, arbitrary: bare },
  fc.record({ time, kind, text, metadata: fc.json({ maxDepth: 1 }) }, { noNullPrototype: true }),
);
const some = fc.array(line, { minLength: 1, maxLength: 40 });
const seq = fc.oneof(fc.nat(1000), fc.constantFrom(0, 2 ** 32, 2 ** 47));

const GOLDEN = [
  encodeLines(RUN, 7, [{ time: 1, kind: 4, text: Buffer.from('hello') }]),
  encodeLines(RUN, 0, manyLines(300)),
  encodeLines(RUN, 1, [
    { time: 5, kind: 0x51, text: Buffer.from([255, 10, 0]), metadata: '{"a":1}' },
    { time: 3, kind: 0xa8, text: Buffer.alloc(2000, 'x') },
  ]),
  encodeLines(
    RUN,
    2 ** 40,
    Array.from({ length: 2000 }, () => ({ time: 9, kind: 0, text: Buffer.alloc(0) })),
  ),
  encodeGap({ run: RUN, firstSeq: 3, count: 99, reason: 'dropped', time: 17 }),
];

describe('a chunk that was changed on its way', () => {
  for (const [what, seal, runs] of [
    ['as it comes', (bytes: Buffer) => bytes, 1500],
    ['with its CRC made right', sealedAgain, 4000],
  ] as const) {
    test(`is refused by name, or holds what its header says: ${what}`, () => {
      fc.assert(
        fc.property(fc.constantFrom(...GOLDEN), mutations(GOLDEN), (golden, mutate) => {
          checkRead(seal(mutate(golden)));
        }),
        hunt(runs),
      );
    });
  }

  test('is refused by name, or holds what its header says: with all its sizes made right as well', () => {
    fc.assert(
      fc.property(fc.constantFrom(...GOLDEN.slice(0, 4)), mutations([]), (golden, mutate) => {
        const header = readHeader(golden);
        const raw = mutate(decompress(header, golden.subarray(CHUNK_HEADER_BYTES)));
        if (raw.length === 0) return;
        checkRead(encodeChunk(header, CODEC_PLAIN, raw.length, raw));
        checkRead(encodeChunk(header, CODEC_ZSTD, raw.length, zstdCompressSync(raw)));
      }),
      hunt(2000),
    );
  });

  test('is never read as anything else without its CRC being wrong', () => {
    fc.assert(
      fc.property(fc.constantFrom(...GOLDEN), mutations(GOLDEN), (golden, mutate) => {
        const bytes = mutate(golden);
        if (bytes.subarray(4).equals(golden.subarray(4))) return;
        if (GOLDEN.some((other) => other.equals(bytes))) return;
        assert.throws(() => {
          readHeader(bytes);
          checkCrc(bytes);
        }, ChunkError);
      }),
      hunt(1500),
    );
  });
});

test('what a body decompresses to never takes more than its header says, whatever that is', () => {
  const sizes = fc.oneof(
    fc.nat(5000),
    fc.constantFrom(MAX_RAW_BYTES - 1, MAX_RAW_BYTES, MAX_RAW_BYTES + 1, 64 * 2 ** 20),
  );
  fc.assert(
    fc.property(sizes, sizes, fc.nat(3), (said, real, frames) => {
      const body = Buffer.concat([zstdCompressSync(Buffer.alloc(real)), ...frameTails(frames)]);
      const header = { ...readHeader(GOLDEN[0]), codec: CODEC_ZSTD, rawBytes: said, bodyBytes: body.length };
      const raw = orChunkError(() => decompress(header, body));
      if (raw !== undefined) assert.ok(raw.length === said && raw.buffer.byteLength <= Math.max(64, said) + 8192);
    }),
    hunt(30),
  );
});

describe('any lines', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(seq, some, (firstSeq, lines) => {
        const chunk = encodeLines(RUN, firstSeq, lines);
        checkCrc(chunk);
        assert.deepEqual(inputsOf(read(chunk).lines), lines.map(withoutEmptyMetadata));
        checkRead(chunk);
      }),
      hunt(500),
    );
  });

  test('are the same bytes before compression, line by line from a block or all at once', () => {
    fc.assert(
      fc.property(fc.array(bare, { minLength: 1, maxLength: 60 }), fc.boolean(), (lines, inOneCopy) => {
        const builder = new ChunkBuilder(Buffer.alloc(BUILDER_BYTES));
        const block = Buffer.concat(lines.flatMap((one) => [one.text, Buffer.from('\n')]));
        let at = 0;
        for (const one of lines) {
          assert.ok(builder.fits(one.text.length));
          builder.mark(one.kind, one.time, one.text.length);
          if (!inOneCopy) {
            builder.copy(block, at, at + one.text.length);
            builder.endLine();
          }
          at += one.text.length + 1;
        }
        if (inOneCopy) builder.copy(block, 0, block.length);
        const { fields, raw } = builder.seal(RUN, 3, Buffer.alloc(BUILDER_BYTES));
        const chunk = encodeChunk(fields, CODEC_PLAIN, raw.length, raw);
        assert.deepEqual(inputsOf(read(chunk).lines), lines);
        const whole = encodeLines(RUN, 3, lines);
        assert.deepEqual(raw, decompress(readHeader(whole), whole.subarray(CHUNK_HEADER_BYTES)));
      }),
      hunt(300),
    );
  });

  test('are clipped as a list is', () => {
    fc.assert(
      fc.property(seq, some, fc.nat(), (firstSeq, lines, at) => {
        const cut = at % lines.length;
        const clipped = clipChunk(encodeLines(RUN, firstSeq, lines), firstSeq + cut);
        assert.equal(readHeader(clipped).firstSeq, firstSeq + cut);
        assert.deepEqual(inputsOf(read(clipped).lines), lines.slice(cut).map(withoutEmptyMetadata));
      }),
      hunt(500),
    );
  });

  test('fit up to the last one that can be counted, at any times', () => {
    fc.assert(
      fc.property(fc.array(time, { minLength: 1, maxLength: 50 }), fc.nat(3), (times, less) => {
        const lines = Array.from({ length: MAX_LINES - less }, (_, i) => {
          return { time: times[i % times.length], kind: (i % 3) << 2, text: Buffer.alloc(0) };
        });
        const { header, lines: decoded } = read(encodeLines(RUN, 0, lines));
        assert.equal(decoded.count, lines.length);
        assert.equal(header.minTime, Math.min(...times));
        assert.ok(lines.every((one, i) => decoded.times[i] === one.time && decoded.kinds[i] === one.kind));
      }),
      hunt(5),
    );
  });
});

test('any gap is clipped as its numbers are', () => {
  const gap = fc.record({
    run: fc.constant(RUN),
    firstSeq: seq,
    count: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    reason: fc.constantFrom(...GAP_REASONS),
    time,
  });
  fc.assert(
    fc.property(gap, fc.nat(), (given, at) => {
      const header = readHeader(encodeGap(given));
      const cut = at % given.count;
      const rest = readHeader(clipGap(header, given.firstSeq + cut));
      const { firstSeq, count, reason, minTime } = rest;
      assert.deepEqual(
        { run: rest.run, firstSeq, count, reason, time: minTime },
        { ...given, firstSeq: given.firstSeq + cut, count: given.count - cut },
      );
    }),
    hunt(500),
  );
});

/** Reads as a reader does; if that succeeds, what was read is what the header counted, and is whole. */
function checkRead(bytes: Buffer): void {
  const found = orChunkError(() => {
    const header = readHeader(bytes);
    checkCrc(bytes);
    return header.codec === CODEC_GAP ? undefined : read(bytes);
  });
  if (found === undefined) return;
  const { header, lines } = found;
  const { count, starts, kinds, times, metadata, text: block } = lines;
  assert.ok(block.length === header.textBytes && starts[0] === 0 && starts[count] === block.length);
  assert.deepEqual([count, kinds.length, times.length], [header.count, header.count, header.count]);
  const counts = new Uint16Array(PAIRS);
  let flags = metadata === undefined ? 0 : FLAG_METADATA;
  for (let i = 0; i < count; i++) {
    assert.ok(starts[i + 1] > starts[i] && block[starts[i + 1] - 1] === 0x0a);
    assert.ok(times[i] >= header.minTime && times[i] <= header.maxTime && Number.isInteger(times[i]));
    counts[pairOf(kinds[i])]++;
    if ((kinds[i] & KIND_CR) !== 0) flags |= FLAG_CR;
    if ((kinds[i] & (KIND_MORE | KIND_REST | KIND_NO_EOL)) !== 0) flags |= FLAG_PIECES;
  }
  assert.deepEqual([flags, counts], [header.flags, header.counts]);
  const again = orChunkError(() => encodeLines(header.run, header.firstSeq, inputsOf(lines)));
  // Metadata that is no UTF-8 grows when it is written again, perhaps over a limit.
  if (again === undefined) assert.ok(metadata !== undefined);
  else assert.deepEqual(inputsOf(read(again).lines), inputsOf(lines));
}

function read(bytes: Buffer): { header: ChunkHeader; lines: Lines } {
  const header = readHeader(bytes);
  return { header, lines: decodeLines(header, decompress(header, bytes.subarray(CHUNK_HEADER_BYTES))) };
}

function inputsOf(lines: Lines): LineInput[] {
  return Array.from({ length: lines.count }, (_, i) => {
    const given = {
      time: lines.times[i],
      kind: lines.kinds[i],
      text: Buffer.from(lines.text.subarray(lines.starts[i], lines.starts[i + 1] - 1)),
    };
    const metadata = lines.metadata?.[i];
    return metadata === undefined ? given : { ...given, metadata };
  });
}

function withoutEmptyMetadata({ metadata, ...rest }: LineInput): LineInput {
  return metadata === undefined || metadata === '' ? rest : { ...rest, metadata };
}

/** What `run` returns, or undefined if it throws a ChunkError. All else that it throws is a failure. */
function orChunkError<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof ChunkError) return undefined;
    throw error;
  }
}

function sealedAgain(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length >= CHUNK_HEADER_BYTES) {
    copy.write('KC\x01', 0, 'latin1');
    copy.writeUInt32LE(copy.length - CHUNK_HEADER_BYTES, 64);
    copy.writeUInt32LE(crc32(copy.subarray(8)), 4);
  }
  return copy;
}

/** What may stand behind a frame: nothing, more frames, rubbish. */
function frameTails(which: number): Buffer[] {
  if (which === 1) return [zstdCompressSync(Buffer.alloc(MAX_RAW_BYTES))];
  if (which === 2) return [zstdCompressSync(Buffer.alloc(10)), zstdCompressSync(Buffer.alloc(10))];
  return which === 3 ? [Buffer.from('rubbish')] : [];
}

function manyLines(count: number): LineInput[] {
  return Array.from({ length: count }, (_, i) => ({
    time: 1_767_322_200_000 + ((i * 7) % 50),
    kind: (i % 3) | ((i % 4) << 2),
    text: Buffer.from(`line ${i} ${'abc '.repeat(i % 9)}`),
  }));
}
