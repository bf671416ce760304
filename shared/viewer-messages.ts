import type { GapReason } from './chunk.ts';
import type { ErrorCode } from './errors.ts';
import type { Level, Source } from './line.ts';

/**
 * What relay and viewers say to each other on `/ws/tasks/{taskId}`: text frames, one JSON object each (or with the
 * option `batch` an array of them). A line's `id` is the cursor of its place; a `cursor` is that of the next line to
 * come, the place to go on from. Agents that speak JSON send logs and statuses here, and get acks.
 */

/**
 * Without a subprotocol, a viewer is subscribed to the path's task from `now` on as soon as it connects. With this
 * one it says itself what it wants, and gets nothing before.
 */
export const VIEW_SUBPROTOCOL = 'keruta.view.v1';

/** `{"type":"subscribe","taskId","options"}`; all members are optional. */
export interface SubscribeOptions {
  sources?: Source[];
  levels?: Level[];
  /** false: lines up to what is the head now, then `unsubscribed`. Default true. */
  realtime?: boolean;
  /** The first line: "start", "now" (the default), a line number, or a cursor. */
  from?: string | number;
  /** In place of `from`: the line behind this cursor. */
  after?: string;
  /** In place of `from`: so many matching lines before the end. */
  tail?: number;
  /** A substring, or any of several; ASCII case does not matter. */
  q?: string | string[];
  /** RE2 syntax. */
  regex?: string;
  /** Only lines of this time: ISO 8601 or ms since 1970, both inclusive. */
  since?: string | number;
  until?: string | number;
  /** Run ids. */
  runs?: string[];
  /** Values of the lines' metadata by key. */
  meta?: Record<string, string | number | boolean>;
  /** Several messages in a frame, as an array. */
  batch?: boolean;
  /** `end` only when so many runs have ended. */
  expectRuns?: number;
}

export interface LogMessage {
  type: 'log';
  id: string;
  taskId: string;
  /** ISO 8601 in UTC with milliseconds, as all times. */
  timestamp: string;
  source: Source;
  level: Level;
  message: string;
  lineNumber: number;
  metadata: Record<string, unknown>;
  /** Only of pieces of a longer line: it goes on in, or continues, another one of the same run and source. */
  more?: true;
  rest?: true;
  run?: string;
}

export interface GapMessage {
  type: 'gap';
  taskId: string;
  /** Both are missing. */
  fromLine: number;
  toLine: number;
  reason: GapReason;
  cursor: string;
}

export interface EndMessage {
  type: 'end';
  taskId: string;
  status: string;
  exitCode: number | null;
  signal: string | null;
  durationMs: number | null;
  lines: number;
  /** Lines that gaps stand for. */
  missing: number;
  runs: number;
  /** Whether all runs proved that their logs are complete. */
  verified: boolean;
  cursor: string;
}

export interface SubscribedMessage {
  type: 'subscribed';
  taskId: string;
  timestamp: string;
  cursor: string;
  /** The lines that there are now; the last is below the first if there is none. */
  firstLine: number;
  lastLine: number;
}

export interface UnsubscribedMessage {
  type: 'unsubscribed';
  taskId: string;
  timestamp: string;
  cursor?: string;
}

export interface PingMessage {
  type: 'ping';
  timestamp: string;
  /** Of a subscription: everything before `cursor` was sent, or did not match. */
  taskId?: string;
  cursor?: string;
}

/** To whoever sends logs: so many of those that this socket sent for the task are durable, in the order of sending. */
export interface AckMessage {
  type: 'ack';
  taskId: string;
  count: number;
  /** The line number of the last of them, and its cursor. */
  lastLine: number;
  id: string;
  timestamp: string;
}

/** To whoever sends logs: somebody has cancelled the task. */
export interface CancelMessage {
  type: 'cancel';
  taskId: string;
  reason: string;
  timestamp: string;
}

/** The relay is about to close the connection, and is worth trying again after that time. */
export interface DrainMessage {
  type: 'drain';
  retryAfterMs: number;
  timestamp: string;
}

export interface ErrorMessage {
  type: 'error';
  code: ErrorCode;
  message: string;
  timestamp: string;
  hint: string;
  taskId?: string;
}

export type ViewerMessage =
  | LogMessage
  | GapMessage
  | EndMessage
  | SubscribedMessage
  | UnsubscribedMessage
  | PingMessage
  | { type: 'pong'; timestamp: string }
  | { type: 'authenticated'; timestamp: string }
  | AckMessage
  | CancelMessage
  | DrainMessage
  | ErrorMessage;
