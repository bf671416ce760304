import type { ClientErrorCode } from './errors.ts';

/**
 * Opens a WebSocket with the subprotocol VIEW_SUBPROTOCOL and reports what happens to it: `open` once, `message` for
 * each text frame, `closed` once, whatever the reason, but never before it has returned.
 */
export type OpenSocket = (events: SocketEvents) => ClientSocket;

export interface ClientSocket {
  send(text: string): void;
  /** Closes, or gives up connecting. Nothing is reported any more. */
  close(): void;
  /** Stops and goes on reading, where that can be done (in browsers it can't). */
  pause?(): void;
  resume?(): void;
}

export interface SocketEvents {
  open(): void;
  message(text: string): void;
  closed(closing: Closing): void;
}

/** Why there is no connection. */
export interface Closing {
  /** Whether to try again. */
  retry: boolean;
  problem: string;
  code?: ClientErrorCode | undefined;
  hint?: string | undefined;
  /** How long the relay asks to wait. */
  retryAfterMs?: number;
  /** Come back without waiting: the trouble is ours, or there is another relay to be tried. */
  atOnce?: boolean;
}
