import type {
  EndMessage,
  GapMessage,
  LogMessage,
  MergedGapMessage,
  MergedLogMessage,
  MergedSubscribedMessage,
  PipelineEndMessage,
  SubscribedMessage,
} from '../shared/viewer-messages.ts';

/**
 * What the tail of a task brings, told apart by `type`:
 *   `log`         a line (or a piece of one, if it says `more` or `rest`)
 *   `gap`         lines that are missing for good, and why
 *   `end`         no run of the task is open; another one may follow
 *   `subscribed`  the relay has answered: at the beginning, and whenever the connection was made again
 *   `lag`         there is no connection; it is being tried again
 *   `reset`       the relay's store was replaced
 */
export type TaskEvent = LogMessage | GapMessage | EndMessage | SubscribedMessage | LagEvent | ResetEvent;

/** The same of a pipeline, or of everything; `end` is that of a pipeline, and comes only of one. */
export type MergedEvent =
  MergedLogMessage | MergedGapMessage | PipelineEndMessage | MergedSubscribedMessage | LagEvent | ResetEvent;

/** There is no connection; it is being tried again, from where it broke. */
export interface LagEvent {
  type: 'lag';
  /** Attempts that have failed, 1 or more. */
  attempt: number;
  /** ms since the connection was lost, or first tried. */
  forMs: number;
  problem: string;
}

/**
 * The relay's store was replaced, by an older copy or a new one. What the tail had seen may be gone, may come again, or
 * may be followed by lines that it does not see; nothing else skips lines without saying so.
 */
export interface ResetEvent {
  type: 'reset';
  message: string;
  /** Where it goes on: a task at the next line number, a pipeline or everything with what comes from now on; a tail to
   * which nothing had come yet begins as it was asked to. */
  from: number | 'start' | 'now';
}
