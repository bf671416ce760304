import type { FastifyReply } from 'fastify';
import { KerutaError } from '../../shared/errors.ts';

/** Aborts when nobody waits for the answer any more. */
export function untilGone(reply: FastifyReply): AbortSignal {
  const abort = new AbortController();
  reply.raw.once('close', () => abort.abort(new KerutaError('IDLE', 'The client has gone.')));
  return abort.signal;
}

/** The parts, or fewer if the client goes: that is no failure of ours. */
export async function* untilAborted(
  parts: AsyncIterable<Buffer>,
  reply: FastifyReply,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* parts;
  } catch (error) {
    if (!reply.raw.destroyed) throw error;
  }
}
