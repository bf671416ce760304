import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { checkCrc, CHUNK_HEADER_BYTES, ChunkError, readHeader } from '../../shared/chunk.ts';
import { clipChunk, decodeLines, decompress, encodeLines, type LineInput, type Lines } from '../../shared/columns.ts';
import { hunt } from '../../test/fuzz/hunt.ts';
import { mutations } from '../../test/fuzz/mutations.ts';
import { joinLines } from './join.ts';
import { clipPieces, decodePieces, encodePieces, joinPieces, runsOfPieces, type Piece } from './pieces.ts';

const RUN = '01JDVZ5W3HXJ4B8Q2Q5S7Y9ZAB';

const line: fc.Arbitrary<LineInput> = fc
  .record({
    time: fc.oneof(fc.nat(50), fc.constantFrom(2 ** 31, 2 ** 48 - 1)),
    kind: fc.nat(255).filter((kind) => (kind & 3) !== 3),
    text: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    metadata: fc.option(fc.constantFrom('{"a":"é"}', '{}', `{"long":"${'x'.repeat(300)}"}`), {
      freq: 6,
      nil: undefined,
    }),
  })
  .map(({ metadata, ...rest }) => (metadata === undefined ? rest : { ...rest, metadata }));

/** How lines become one chunk: as they are encoded, or of parts that were joined, or cut from something longer. */
interface Made {
  lines: LineInput[];
  chunk: (firstSeq: number) => Buffer;
}

const { made } = fc.letrec<{ made: Made }>((tie) => ({
  made: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.array(line, { minLength: 1, maxLength: 12 }).map((lines) => ({
      lines,
      chunk: (firstSeq: number) => encodeLines(RUN, firstSeq, lines),
    })),
    fc.array(tie('made'), { minLength: 1, maxLength: 4 }).map(joined),
    fc.tuple(tie('made'), fc.nat()).map(([whole, at]) => clipped(whole, at % whole.lines.length)),
    fc.tuple(tie('made'), fc.nat(), fc.nat()).map(([whole, a, b]) => {
      const [first, last] = [a % whole.lines.length, b % whole.lines.length].sort((x, y) => x - y);
      return ranged(whole, first, last + 1);
    }),
  ),
}));

function joined(parts: Made[]): Made {
  return {
    lines: parts.flatMap(({ lines }) => lines),
    chunk: (firstSeq) =>
      joinLines(
        { run: RUN, firstSeq },
        parts.map((part) => {
          const lines = decoded(part.chunk(0));
          return { lines, first: 0, end: lines.count };
        }),
      ),
  };
}

function clipped(whole: Made, cut: number): Made {
  return {
    lines: whole.lines.slice(cut),
    chunk: (firstSeq) => {
      const chunk = whole.chunk(1000);
      const rest = clipChunk(chunk, 1000 + cut);
      return encodeLines(RUN, firstSeq, inputsOf(decoded(rest)));
    },
  };
}

function ranged(whole: Made, first: number, end: number): Made {
  return {
    lines: whole.lines.slice(first, end),
    chunk: (firstSeq) =>
      joinLines({ run: RUN, firstSeq, plain: true }, [{ lines: decoded(whole.chunk(0)), first, end }]),
  };
}

test('lines are the same however they were joined, cut and joined again', () => {
  fc.assert(
    fc.property(made, fc.constantFrom(0, 9, 2 ** 40), ({ lines, chunk }, firstSeq) => {
      const bytes = chunk(firstSeq);
      checkCrc(bytes);
      const header = readHeader(bytes);
      const plain = readHeader(encodeLines(RUN, firstSeq, lines));
      assert.deepEqual(inputsOf(decoded(bytes)), lines);
      for (const field of ['firstSeq', 'count', 'flags', 'minTime', 'maxTime', 'textBytes', 'rawBytes'] as const)
        assert.equal(header[field], plain[field], field);
      assert.deepEqual(header.counts, plain.counts);
    }),
    hunt(400),
  );
});

describe('the pieces of a merged chunk', () => {
  const piece = fc.record(
    { run: fc.nat(4), count: fc.integer({ min: 1, max: 300 }), ahead: fc.oneof(fc.constant(0), fc.nat(2 ** 30)) },
    { noNullPrototype: true },
  );
  const pieces = fc.tuple(fc.nat(2 ** 40), fc.array(piece, { minLength: 1, maxLength: 60 })).map(piecesOf);

  test('come back as they were', () => {
    fc.assert(
      fc.property(pieces, (given) => assert.deepEqual(decodePieces(encodePieces(given)), given)),
      hunt(1000),
    );
  });

  test('are joined, cut and counted line by line as a list of lines is', () => {
    fc.assert(
      fc.property(pieces, fc.nat(), fc.nat(), (given, a, b) => {
        const all = linesOf(given);
        const at = a % given.length;
        assert.deepEqual(linesOf(joinPieces([given.slice(0, at), given.slice(at)])), all);
        const cut = b % all.length;
        assert.deepEqual(linesOf(clipPieces(given, cut)), all.slice(cut));
        assert.deepEqual(
          runsOfPieces(given).flatMap(({ run, count }) => new Array<number>(count).fill(run)),
          all.map(({ run }) => run),
        );
      }),
      hunt(300),
    );
  });

  const golden = [
    piecesOf([0, [{ run: 1, count: 3, ahead: 0 }]]),
    piecesOf([7, Array.from({ length: 400 }, (_, i) => ({ run: i % 5, count: 1 + (i % 3), ahead: (i * 31) % 17 }))]),
  ].map(encodePieces);

  test('that were changed on the disk are refused by name', () => {
    fc.assert(
      fc.property(fc.constantFrom(...golden), mutations(golden), (bytes, mutate) => {
        const changed = mutate(bytes);
        if (!golden.some((one) => one.equals(changed))) assert.throws(() => decodePieces(changed), ChunkError);
      }),
      hunt(2000),
    );
  });

  test('are refused by name, or are numbers, if they were made otherwise than by us', () => {
    fc.assert(
      fc.property(fc.constantFrom(...golden), mutations(golden), (bytes, mutate) => {
        const changed = Buffer.from(mutate(bytes));
        if (changed.length > 4) changed.writeUInt32LE(crc32(changed.subarray(4)), 0);
        let read: Piece[];
        try {
          read = decodePieces(changed);
        } catch (error) {
          assert.ok(error instanceof ChunkError);
          return;
        }
        assert.ok(read.length > 0);
        for (const one of read)
          assert.ok(Object.values(one).every((number) => Number.isInteger(number) && number >= 0));
      }),
      hunt(2000),
    );
  });
});

/** Each run's pieces follow each other without a hole. */
function piecesOf([start, given]: [number, { run: number; count: number; ahead: number }[]]): Piece[] {
  const seqs = new Map<number, number>();
  let position = start;
  return given.map(({ run, count, ahead }) => {
    const seq = seqs.get(run) ?? run * 100;
    seqs.set(run, seq + count);
    const placed = { run, seq, position: position + ahead, count };
    position = placed.position + count;
    return placed;
  });
}

function linesOf(pieces: readonly Piece[]): { run: number; seq: number; position: number }[] {
  return pieces.flatMap(({ run, seq, position, count }) =>
    Array.from({ length: count }, (_, i) => ({ run, seq: seq + i, position: position + i })),
  );
}

function decoded(chunk: Buffer): Lines {
  const header = readHeader(chunk);
  return decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES)));
}

function inputsOf(lines: Lines): LineInput[] {
  return Array.from({ length: lines.count }, (_, i) => {
    const text = Buffer.from(lines.text.subarray(lines.starts[i], lines.starts[i + 1] - 1));
    const metadata = lines.metadata?.[i];
    const given = { time: lines.times[i], kind: lines.kinds[i], text };
    return metadata === undefined ? given : { ...given, metadata };
  });
}
