import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHUNK_HEADER_BYTES, ChunkError, readHeader } from '../../shared/chunk.ts';
import { encodeLines, type LineInput, type Lines } from '../../shared/columns.ts';
import { KIND_CR, KIND_MORE, kindOf } from '../../shared/line.ts';
import { newUlid } from '../../shared/ulid.ts';
import { decodeStored } from './decode.ts';
import { joinLines } from './join.ts';

const RUN = newUlid(1);

const LINES: LineInput[] = [
  { time: 5000, kind: kindOf('stdout', 'INFO'), text: Buffer.from('one') },
  { time: 4000, kind: kindOf('stderr', 'ERROR') | KIND_CR, text: Buffer.from('') },
  { time: 4000, kind: kindOf('stdout', 'WARN') | KIND_MORE, text: Buffer.from('with\nnewline'), metadata: '{"a":"ü"}' },
  { time: 2 ** 47, kind: kindOf('agent', 'DEBUG'), text: Buffer.alloc(300, 'x') },
  { time: 0, kind: kindOf('stdout', 'INFO'), text: Buffer.from([0xff, 0x00, 0x0a]), metadata: '[1]' },
];

function decoded(chunk: Buffer): Lines {
  const stored = { header: chunk.subarray(0, CHUNK_HEADER_BYTES), body: chunk.subarray(CHUNK_HEADER_BYTES) };
  return decodeStored(readHeader(chunk), stored);
}

describe('joined lines', () => {
  test('are the chunk that the same lines would have been, however they were cut before', () => {
    const whole = encodeLines(RUN, 7, LINES);
    for (let cut = 1; cut < LINES.length; cut++) {
      const ranges = [LINES.slice(0, cut), LINES.slice(cut)].map((some) => {
        const lines = decoded(encodeLines(RUN, 7, some));
        return { lines, first: 0, end: lines.count };
      });
      assert.deepEqual(joinLines({ run: RUN, firstSeq: 7 }, ranges), whole);
    }
  });

  test('may be any part of a chunk', () => {
    const lines = decoded(encodeLines(RUN, 7, LINES));
    for (let first = 0; first < LINES.length; first++) {
      for (let end = first + 1; end <= LINES.length; end++) {
        const part = joinLines({ run: RUN, firstSeq: 7 + first }, [{ lines, first, end }]);
        assert.deepEqual(part, encodeLines(RUN, 7 + first, LINES.slice(first, end)));
      }
    }
  });

  test('are compressed where that is worth it', () => {
    const some = Array.from({ length: 500 }, (_, index) => ({ ...LINES[0], text: Buffer.from(`line ${index}`) }));
    assert.deepEqual(
      joinLines({ run: RUN, firstSeq: 0 }, [{ lines: decoded(encodeLines(RUN, 0, some)), first: 0, end: 500 }]),
      encodeLines(RUN, 0, some),
    );
  });

  test('that are too many for one chunk are refused', () => {
    const some = new Array<LineInput>(40_000).fill(LINES[0]);
    const lines = decoded(encodeLines(RUN, 0, some));
    const range = { lines, first: 0, end: lines.count };
    assert.throws(() => joinLines({ run: RUN, firstSeq: 0 }, [range, range]), ChunkError);
  });
});
