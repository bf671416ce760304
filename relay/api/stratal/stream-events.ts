import { iso } from '../iso.ts';
import { readableTasks } from '../permission.ts';
import { sseEvent, type SseStream } from '../sse.ts';
import type { Caller } from '../../caller.ts';
import type { StreamParts } from './parts.ts';
import { render, renderMessage, type Style } from './render.ts';
import { CONNECTED, noticeMessage } from './shape.ts';

export interface EventsAsked {
  /** Absent: everything. */
  job: string | undefined;
  begin: Begin;
  caller: Caller;
}

/** Where a stream begins. */
export interface Begin {
  /** A position. */
  from: number;
  /** Whether the client wanted to go on from a place of another store. */
  elsewhere: boolean;
}

/**
 * `/logs/stream/sse`: the events `connected`, `log` and `ping`, until the client goes. Each says where to go on, so that
 * who goes before the first log misses nothing.
 */
export async function serveEvents(
  stream: SseStream,
  { job, begin, caller }: EventsAsked,
  { merged, now, connections }: StreamParts,
): Promise<void> {
  const { signal } = stream;
  void stream.closed.then(connections.join(job, 'sse'));
  let place = begin.from;
  const event = (name: string, data: object): string =>
    sseEvent({ event: name, data: JSON.stringify(data), id: merged.cursors()(place) });
  stream.onIdle(PING_EVERY_MS, () => event('ping', { timestamp: iso(now()) }));
  // A store gets another epoch once in its life, if at all; what is written then bears it.
  const style = (): Style => ({ kind: 'sse', epoch: merged.epoch(), cursors: merged.cursors(), now });

  await stream.write(event('connected', { message: CONNECTED, job_run_id: job ?? '' }));
  if (begin.elsewhere) await stream.write(renderMessage(elsewhereMessage(now()), place - 1, style()));
  const group = job === undefined ? {} : { group: job };
  for await (const batch of merged.follow({ ...group, from: place, may: readableTasks(caller.principal), signal })) {
    const parts = render(batch, style());
    place = batch.nextPosition;
    if (parts.length > 0) await stream.write(parts.length === 1 ? parts[0] : Buffer.concat(parts));
  }
}

function elsewhereMessage(time: number): string {
  const message = '[gap: logs missing: the place to go on from is of another store, so this goes on from now]';
  return noticeMessage(message, { time, metadata: { gap: { reason: 'unknown-place' } } });
}

const PING_EVERY_MS = 30_000;
