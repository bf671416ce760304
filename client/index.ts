/**
 * `keruta/client`: everything that a program needs to read logs from a relay, in browsers and in Node. Whoever imports
 * some of it bundles only that.
 */
export type { BackoffLimits } from './backoff.ts';
export { createClient, type Client, type ClientOptions } from './client.ts';
export { ClientError, type ClientErrorCode } from './errors.ts';
export type { LagEvent, MergedEvent, ResetEvent, TaskEvent } from './events.ts';
export type { Filter } from './filter.ts';
export {
  count,
  exportLog,
  history,
  historyPage,
  stats,
  type CountOptions,
  type ExportOptions,
  type HistoryOptions,
} from './logs.ts';
export { pipeline, pipelines, pipelinesPage, type PipelinesOptions } from './pipelines.ts';
export type * from './records.ts';
export type { ClientSocket, Closing, OpenSocket, SocketEvents } from './socket.ts';
export { tail, tailGroups, type TailEvent, type TailOptions, type TailTarget } from './tail.ts';
export { task, tasks, tasksPage, type TasksOptions } from './tasks.ts';
export type { Token } from './token.ts';
export type { Level, Source } from '../shared/line.ts';
export type {
  EndMessage,
  GapMessage,
  LogMessage,
  MergedGapMessage,
  MergedLogMessage,
  MergedSubscribedMessage,
  PipelineEndMessage,
  SubscribedMessage,
} from '../shared/viewer-messages.ts';
