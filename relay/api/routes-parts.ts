import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';

/**
 * Sends text that comes in parts: as a whole if it is short, else as a stream from which no more is read than the
 * client takes. If reading fails behind the first part of a stream, the connection is cut, so that nobody takes half an
 * answer for a whole one.
 */
export async function sendParts(
  reply: FastifyReply,
  parts: AsyncGenerator<string, void, undefined>,
): Promise<FastifyReply> {
  let whole = '';
  while (whole.length < MAX_WHOLE_CHARACTERS) {
    const part = await parts.next();
    if (part.done === true) return reply.send(whole);
    whole += part.value;
  }
  return reply.send(streamOf(withFirst(whole, parts)));
}

/** A stream that holds one part, and takes none after its reader has gone. */
export function streamOf(parts: AsyncIterable<string | Buffer>): Readable {
  return Readable.from(parts, { highWaterMark: 1 });
}

/** The same parts, the first of which has been read already: where that fails, an error can still be the answer. */
export async function begun<T>(
  parts: AsyncGenerator<T, void, undefined>,
): Promise<AsyncIterableIterator<T, void, undefined>> {
  const first = await parts.next();
  return first.done === true ? parts : withFirst(first.value, parts);
}

/** No generator: one that is ended before it began would not end `rest`. */
function withFirst<T>(first: T, rest: AsyncGenerator<T, void, undefined>): AsyncIterableIterator<T, void, undefined> {
  const held = [first];
  const parts = {
    next: (): Promise<IteratorResult<T, void>> => {
      const value = held.pop();
      return value === undefined ? rest.next() : Promise.resolve({ value, done: false });
    },
    return: (): Promise<IteratorResult<T, void>> => rest.return(),
    [Symbol.asyncIterator]: () => parts,
  };
  return parts;
}

/** A page of a hundred usual lines is far below. */
const MAX_WHOLE_CHARACTERS = 256 * 1024;
