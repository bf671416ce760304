import type { AgentSocket } from './agent-socket.ts';
import { ERRORS, type ErrorCode } from '../shared/errors.ts';

/** Why we close a socket: a row of the errors table, and what happened here. */
export interface CloseReason {
  code: ErrorCode;
  message: string;
}

/** `text` as the reason of a close frame, which holds 123 bytes: cut between characters if it is longer. */
export function closeReason(text: string): string {
  if (Buffer.byteLength(text) <= MAX_REASON_BYTES) return text;
  let reason = '';
  let bytes = Buffer.byteLength('…');
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_REASON_BYTES) break;
    reason += character;
  }
  return `${reason}…`;
}

/** Closes a socket and resolves when it is closed; one whose peer does not answer within `patienceMs` is cut. */
export function closeWithin(
  socket: Pick<AgentSocket, 'readyState' | 'close' | 'terminate' | 'resume' | 'once'>,
  patienceMs: number,
  why: CloseReason,
): Promise<void> {
  if (socket.readyState === CLOSED) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.terminate(), patienceMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.close(ERRORS[why.code].close, closeReason(why.message));
    socket.resume();
  });
}

const CLOSED = 3;
const MAX_REASON_BYTES = 123;
