import type { ErrorCode } from './errors.ts';
import type { GapReason } from './gap-reasons.ts';
import type { Level, Source } from './line.ts';

/**
 * What relay and viewers say to each other on `/ws/tasks/{taskId}` and `/ws`: text frames, one JSON object each (or with
 * the option `batch` an array of them). A line's `id` is the cursor of its place; a `cursor` is that of the next line to
 * come, the place to go on from. Agents that speak JSON send logs and statuses here, and get acks.
 *
 * Subscriptions that have a name share a socket as they like: any number of them may be of the same task. Messages that
 * are made for one viewer say which subscription they belong to. `log`, `gap` and `end` are built once for all viewers
 * and can't; whose they are says the `for` in front of them.
 */

/**
 * Without a subprotocol, a viewer is subscribed to the path's task from `now` on as soon as it connects. With this
 * one it says itself what it wants, and gets nothing before. On `/ws`, which names no task, it is required.
 */
export const VIEW_SUBPROTOCOL = 'keruta.view.v1';

/** The longest name of a subscription, in characters. */
export const MAX_SUBSCRIPTION_NAME = 64;

/**
 * Asks for a task, or in the order in which the relay has stored them for the lines of all tasks of a pipeline, or of
 * all that the token may read. At most one of `taskId`, `pipelineId` and `all` is given; without any it is the path's
 * task. A subscribe for what is subscribed to already replaces it, and unless it says where to start goes on from there.
 */
export interface SubscribeMessage {
  type: 'subscribe';
  /** The subscription's name. Without one it is known by its task; those of a pipeline or of all need one. */
  subscription?: string;
  taskId?: string;
  /** A task without a pipeline is one by itself: its id is taken here, too. */
  pipelineId?: string;
  all?: true;
  options?: SubscribeOptions;
}

/** Ends a subscription: the one of that name, or without a name that of the task. Answered by `unsubscribed`. */
export interface UnsubscribeMessage {
  type: 'unsubscribe';
  subscription?: string;
  taskId?: string;
}

/** All members are optional. */
export interface SubscribeOptions {
  sources?: Source[];
  levels?: Level[];
  /** false: lines up to what is the head now, then `unsubscribed`. Default true. */
  realtime?: boolean;
  /** The first line: "start", "now" (the default), a cursor, or of a task a line number. */
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
  /** Ids of the workers that wrote them. */
  workers?: string[];
  /** Values of the lines' metadata by key. */
  meta?: Record<string, string | number | boolean>;
  /** Several messages in a frame, as an array. */
  batch?: boolean;
  /** Of a task: `end` only when so many runs have ended. */
  expectRuns?: number;
}

/**
 * Comes only where subscriptions have names: the messages `log`, `gap` and `end` behind it belong to this one, until
 * another `for` comes. null: to those without a name, as at the beginning.
 */
export interface ForMessage {
  type: 'for';
  subscription: string | null;
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

/** The first message of a subscription. One that is replaced before it has begun says nothing. */
export interface SubscribedMessage {
  type: 'subscribed';
  subscription?: string;
  taskId: string;
  timestamp: string;
  cursor: string;
  /** The lines that there are now; the last is below the first if there is none. */
  firstLine: number;
  lastLine: number;
}

/** The last message of a subscription. What it was of is said unless a name was given that nothing has. */
export interface UnsubscribedMessage {
  type: 'unsubscribed';
  subscription?: string;
  taskId?: string;
  pipelineId?: string;
  all?: true;
  timestamp: string;
  cursor?: string;
}

export interface PingMessage {
  type: 'ping';
  timestamp: string;
  /** Of a subscription: everything before `cursor` was sent, or did not match. */
  subscription?: string;
  taskId?: string;
  pipelineId?: string;
  all?: true;
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
  subscription?: string;
  taskId?: string;
  pipelineId?: string;
  all?: true;
}

/** A line of a merged stream: its `id` is the cursor of its position, and it says more of where it comes from. */
export interface MergedLogMessage extends LogMessage {
  taskName?: string;
  pipelineId?: string;
  workerId?: string;
}

/** Lines of a merged stream are missing. */
export interface MergedGapMessage {
  type: 'gap';
  /** Absent if the lines are forgotten so that nobody knows whose they were, or whether they belong to this stream. */
  taskId?: string;
  pipelineId?: string;
  /** Line numbers in the task, both missing. */
  fromLine?: number;
  toLine?: number;
  /** How many are missing, at most. */
  lines: number;
  reason: GapReason;
  cursor: string;
}

/** No run of the pipeline's tasks is open. */
export interface PipelineEndMessage {
  type: 'end';
  pipelineId: string;
  /** As a task's: `succeeded` if all tasks have, else what became of those that have not. */
  status: string;
  tasks: number;
  /** How many tasks have which status. */
  statuses: Record<string, number>;
  runs: number;
  lines: number;
  missing: number;
  cursor: string;
}

export interface MergedSubscribedMessage {
  type: 'subscribed';
  subscription: string;
  /** One of both. */
  pipelineId?: string;
  all?: true;
  timestamp: string;
  cursor: string;
}

/** What comes of a subscription to a pipeline or to all, beside `unsubscribed`, `ping` and `error`. */
export type MergedMessage = MergedLogMessage | MergedGapMessage | PipelineEndMessage | MergedSubscribedMessage;

/** What comes of a task's subscription, and of no subscription. */
export type ViewerMessage =
  | ForMessage
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
