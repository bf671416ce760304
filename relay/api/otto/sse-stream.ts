import type { Logger } from 'pino';
import { ERRORS } from '../../../shared/errors.ts';
import { toKerutaError, type ErrorMeter } from '../../http-errors.ts';
import { iso } from '../iso.ts';
import { sseEvent, type SseStream } from '../sse.ts';
import { ottoError } from './errors.ts';

/** Writes one client's stream until it ends; what goes wrong meanwhile is its last event. */
export async function serveStream(client: OttoClient, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    fail(client, error);
  }
}

/** One client and its stream. */
export interface OttoClient {
  stream: SseStream;
  clientId: string;
  meter: ErrorMeter;
  log: Pick<Logger, 'error'>;
  /** ms since 1970 */
  now: () => number;
}

/** Says every half minute that it is there, unless the client does not read. `id`: the place to go on from by then. */
export function beat({ stream, now }: OttoClient, id?: () => string): void {
  everyHalfMinute(stream, () => {
    const data = JSON.stringify({ timestamp: iso(now()) });
    if (!stream.full) void stream.write(sseEvent({ event: 'heartbeat', data, ...(id && { id: id() }) }));
  });
}

/** Ends a stream that may not be read any more: `check` rejects then. */
export function review(client: OttoClient, check: () => Promise<void>): void {
  everyHalfMinute(client.stream, () => {
    check().catch((error: unknown) => fail(client, error));
  });
}

/** Says that nothing more is to come, and ends the stream. */
export function complete(
  { stream, clientId, now }: OttoClient,
  { message, id }: { message: string; id: string },
): void {
  const data = JSON.stringify({ message, timestamp: iso(now()), clientId });
  stream.end(sseEvent({ event: 'complete', data, id }));
}

export function errorEvent(error: object): string {
  return sseEvent({ event: 'error', data: JSON.stringify(error) });
}

function fail({ stream, log, meter, clientId, now }: OttoClient, error: unknown): void {
  // Whatever was under way for a client that has gone.
  if (stream.signal.aborted) return;
  const shown = toKerutaError(error);
  meter.failed(shown.code);
  if (ERRORS[shown.code].status >= 500) log.error({ err: error, requestId: clientId }, 'a stream failed');
  stream.end(errorEvent(ottoError(shown, { clientId, now: now() })));
}

function everyHalfMinute({ signal }: SseStream, act: () => void): void {
  const timer = setInterval(act, HALF_MINUTE_MS);
  const stop = (): void => clearInterval(timer);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

const HALF_MINUTE_MS = 30_000;
