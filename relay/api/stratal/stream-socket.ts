import type { WebSocket } from 'ws';
import { ERRORS } from '../../../shared/errors.ts';
import type { Caller } from '../../caller.ts';
import { toKerutaError } from '../../http-errors.ts';
import { closeReason } from '../../web-socket.ts';
import { Outgoing } from '../outgoing.ts';
import { readableTasks } from '../permission.ts';
import { render, renderMessage, type Style } from './render.ts';
import { connectedMessage } from './shape.ts';
import type { StreamParts } from './parts.ts';

/**
 * `/logs/stream/ws`: one frame a log, from now on, or from the place that is asked for (`from=start`, `cursor=…`). Who
 * asks for a place gets places: each message then ends with the member `cursor`. Whatever the client says is ignored.
 */
export function serveStream(webSocket: WebSocket, { caller, query }: Visitor, parts: StreamParts): void {
  const gone = new AbortController();
  webSocket.once('close', () => gone.abort());
  // ws closes by itself, with the code that says what was wrong.
  webSocket.on('error', () => undefined);
  const asked = readAsked(query);
  const leave = parts.connections.join(asked.job, 'websocket');
  stream(webSocket, { ...asked, caller, signal: gone.signal }, parts)
    .catch((error: unknown) => {
      if (!gone.signal.aborted) refuse(webSocket, error, parts);
    })
    .finally(leave);
}

interface Visitor {
  caller: Caller;
  query: URLSearchParams;
}

interface Asked {
  /** Absent: everything. */
  job: string | undefined;
  /** Absent: now, and no places. */
  place: string | undefined;
}

/** Of what is given twice the first counts; what is empty is not given. */
function readAsked(query: URLSearchParams): Asked {
  const one = (name: string): string | undefined => query.get(name) || undefined;
  return { job: one('job_run_id'), place: one('cursor') ?? one('from') };
}

async function stream(
  webSocket: WebSocket,
  { job, place, caller, signal }: Asked & { caller: Caller; signal: AbortSignal },
  { merged, now }: StreamParts,
): Promise<void> {
  const may = readableTasks(caller.principal);
  const from = await merged.place(place ?? 'now');
  signal.throwIfAborted();
  const out = new Outgoing(webSocket);
  const kind = place === undefined ? 'websocket' : 'places';
  const style = (): Style => ({ kind, epoch: merged.epoch(), cursors: merged.cursors(), now });
  // It stands just before the first line.
  out.write(renderMessage(connectedMessage(job, now()), from - 1, style()));
  for await (const batch of merged.follow({ ...(job !== undefined && { group: job }), from, may, signal })) {
    // A peer that does not answer the close is still there for a while, and takes nothing any more.
    if (!out.open) return;
    out.write(...render(batch, style()));
    if (out.full) await out.ready();
  }
}

/** Says by the close code what is wrong; nothing else that the client would understand is in the contract. */
function refuse(webSocket: WebSocket, error: unknown, { meter, log }: StreamParts): void {
  const { code, message } = toKerutaError(error);
  meter.failed(code);
  if (ERRORS[code].status === 500) log.error({ err: error }, 'a stream could not be served');
  webSocket.close(ERRORS[code].close, closeReason(message));
}
