import type { RelayMessage } from '../shared/relay-message.ts';

/** A connection to the relay, as the uplink sees it. */
export interface Connection {
  /** Chunks as bytes, messages as JSON. Does nothing once it is closed. */
  send(frame: Buffer | string): void;
  /** What was sent and has not been handed to the system. */
  readonly bufferedBytes: number;
  /** Closes it; no more events come. */
  close(): void;
}

export interface ConnectionEvents {
  onOpen: () => void;
  onMessage: (message: RelayMessage) => void;
  /** Once, and not after `close()`: it could not be opened, or is gone. */
  onClose: (closing: Closing) => void;
}

export interface Closing {
  /** Whether to try again, with backoff. */
  retry: boolean;
  /** With `retry: false`: it is about the run, and so no other relay is to be tried either. */
  everywhere?: boolean;
  /** How long the relay asks to wait. */
  retryAfterMs?: number;
  /** Somebody has answered, though not as was asked. */
  answered?: boolean;
  /** It may be that something on the way does not let WebSockets through. */
  blocked?: boolean;
  /** Why, in a sentence without a full stop. */
  problem: string;
}

/** Begins to connect to a relay, by its place in the list. Events come later, never from within. */
export type Connect = (relay: number, events: ConnectionEvents) => Connection;
