import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkFlip } from './chunk-flip.ts';
import { cut } from './cuts.ts';

const HEAD = 'GET /ws/tasks/t HTTP/1.1\r\nSec-WebSocket-Protocol: keruta.chunk.v1\r\n\r\n';

/** A masked frame whose mask is zero. */
function frame(opcode: number, payload: Buffer): Buffer {
  const short = payload.length < 126;
  const head = Buffer.alloc(short ? 2 : 4);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (short ? payload.length : 126);
  if (!short) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

const json = frame(1, Buffer.alloc(300, 1));
const chunk = frame(2, Buffer.alloc(400, 2));
const small = frame(2, Buffer.alloc(50, 3));
const stream = Buffer.concat([Buffer.from(HEAD), json, small, chunk, json]);
const chunkAt = HEAD.length + json.length + small.length + 8;

/** Where bytes were changed. */
function changes(parts: Buffer[]): number[] {
  const flip = new ChunkFlip();
  let flipped = false;
  const passed = Buffer.concat(
    parts.map((part) => {
      flipped ||= flip.pass(part, !flipped);
      return part;
    }),
  );
  return [...passed.keys()].filter((at) => passed[at] !== stream[at]);
}

test('one bit of a chunk is flipped behind its CRC, wherever the stream is cut', () => {
  for (let at = 0; at <= stream.length; at++) {
    const found = changes(cut(stream, [at]));
    assert.equal(found.length, 1, `cut at ${at}`);
    assert.ok(found[0] >= chunkAt + 8 && found[0] < chunkAt + 400, `cut at ${at}: byte ${found[0]}`);
  }
  const one = changes(
    cut(
      stream,
      Array.from({ length: stream.length - 1 }, (_, at) => at + 1),
    ),
  );
  assert.equal(one.length, 1);
});

test('what is no link of an agent is left as it is', () => {
  const flip = new ChunkFlip();
  const other = Buffer.concat([Buffer.from('GET /ws HTTP/1.1\r\n\r\n'), chunk]);
  assert.equal(flip.pass(Buffer.from(other), true), false);
  assert.equal(flip.possible, false);
});
