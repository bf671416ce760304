import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BUILDER_BYTES, ChunkBuilder } from '../shared/chunk-builder.ts';
import { CODEC_PLAIN, encodeChunk, readHeader } from '../shared/chunk.ts';
import { decodeLines } from '../shared/columns.ts';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_REST, LEVELS, levelOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { cut } from '../test/cuts.ts';
import { hunt } from '../test/fuzz/hunt.ts';
import { LevelDetector } from './level.ts';
import { LineSplitter } from './lines.ts';

const RUN = newUlid(1);
const PIECE_BYTES = 16;

const words = [
  ...[
    'ERROR',
    'error:',
    '[warn]',
    'INFO ',
    'level=debug',
    '{"level":"warn"}',
    '{"level":30',
    'E0102 15:04:05.1',
    'a',
    ' ',
  ],
  ...[
    '2026-01-02 03:04:05 ',
    '\x1b[31m',
    'é',
    '🎉',
    '\r',
    '\t',
    '=',
    '"',
    'WARNING',
    'W',
    'xERRORx',
    'x'.repeat(20),
    '\0',
  ],
];
const stream = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...words).map((word) => Buffer.from(word)) },
      { weight: 3, arbitrary: fc.constantFrom('\n', '\r\n', '\n\n').map((end) => Buffer.from(end)) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)) },
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));

test('bytes come out again as they went in, line by line, however they are cut and whenever they are let go', () => {
  fc.assert(
    fc.property(
      stream,
      fc.array(fc.nat(), { maxLength: 10 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      (bytes, cuts, lets) => {
        const builder = new ChunkBuilder(Buffer.alloc(BUILDER_BYTES));
        const pieces: { text: Buffer; kind: number }[] = [];
        let seq = 0;
        const seal = (): void => {
          if (builder.count === 0) return;
          const { fields, raw } = builder.seal(RUN, seq, Buffer.alloc(BUILDER_BYTES));
          const { count, text, starts, kinds } = decodeLines(
            readHeader(encodeChunk(fields, CODEC_PLAIN, raw.length, raw)),
            raw,
          );
          for (let i = 0; i < count; i++)
            pieces.push({ text: text.subarray(starts[i], starts[i + 1] - 1), kind: kinds[i] });
          seq += count;
        };
        const splitter = new LineSplitter({ builder, seal }, 'stdout', { level: 'DEBUG', maxPieceBytes: PIECE_BYTES });
        const places = cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b);
        cut(bytes, places).forEach((part, at) => {
          splitter.push(part, 1);
          if (lets[at % lets.length]) splitter.release(1);
        });
        splitter.end(1);
        seal();

        let open = false;
        const out = pieces.map(({ text, kind }) => {
          assert.ok(text.length <= PIECE_BYTES && !text.includes(0x0a));
          assert.equal((kind & KIND_REST) !== 0, open, 'a piece goes on where one before has said so');
          open = (kind & KIND_MORE) !== 0;
          const end = open || (kind & KIND_NO_EOL) !== 0 ? '' : (kind & KIND_CR) !== 0 ? '\r\n' : '\n';
          return Buffer.concat([text, Buffer.from(end)]);
        });
        assert.deepEqual(Buffer.concat(out).toString('hex'), bytes.toString('hex'));
        for (const [at, { kind }] of pieces.entries())
          if ((kind & KIND_REST) !== 0) assert.equal(levelOf(kind), levelOf(pieces[at - 1].kind));
      },
    ),
    // A byte more than a piece, let go before its line end came.
    hunt(1500, [[Buffer.from(`${'x'.repeat(PIECE_BYTES + 1)}\n`), [PIECE_BYTES + 1], [true]]]),
  );
});

test('a line has the level that it has alone, whatever came before it and stands around it', () => {
  fc.assert(
    fc.property(fc.array(stream.map(firstLine), { minLength: 1, maxLength: 12 }), stream, (lines, around) => {
      const detector = new LevelDetector();
      for (const line of lines) {
        const alone = new LevelDetector().detect(line, 0, line.length);
        assert.ok(alone >= -1 && alone < LEVELS.length);
        const block = Buffer.concat([around, line, Buffer.from('\n'), around]);
        assert.equal(detector.detect(block, around.length, around.length + line.length), alone, line.toString());
      }
    }),
    hunt(3000),
  );
});

function firstLine(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0x0a);
  return end === -1 ? bytes : bytes.subarray(0, end);
}
