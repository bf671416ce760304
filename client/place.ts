import type {
  EndMessage,
  GapMessage,
  LogMessage,
  MergedGapMessage,
  MergedLogMessage,
  MergedSubscribedMessage,
  PipelineEndMessage,
  SubscribedMessage,
  SubscribeOptions,
} from '../shared/viewer-messages.ts';

/** What a subscription brings that says where it is. */
export type PlacedMessage =
  | LogMessage
  | GapMessage
  | EndMessage
  | SubscribedMessage
  | MergedLogMessage
  | MergedGapMessage
  | PipelineEndMessage
  | MergedSubscribedMessage;

/** Where a stream is: what to ask for next time, so that nothing comes twice and nothing is left out. */
export class Place {
  readonly #asked: Start;
  #start: Start;
  /** Of a task's lines; undefined before the first one, and in merged streams, where it would say nothing. */
  #nextLine: number | undefined;
  #sawLines = false;
  /** Whether something has come, so that a place that is refused now was one in another store. */
  #moved = false;
  #end = '';
  /** Nothing has come since it was subscribed: an end that comes first may be one that was told. */
  #fresh = true;
  readonly #ofTask: boolean;

  constructor(start: Start, { ofTask }: { ofTask: boolean }) {
    this.#asked = start;
    this.#start = start;
    this.#ofTask = ofTask;
  }

  /** Where to start, if asked now. */
  get start(): Start {
    return this.#start;
  }

  /** Notes what came. False: it was told before, and only comes again because of a new subscription. */
  pass(message: PlacedMessage): boolean {
    const fresh = this.#fresh;
    this.#fresh = false;
    switch (message.type) {
      case 'log':
        this.#to({ after: message.id }, message.lineNumber + 1);
        return true;
      case 'gap':
        this.#to({ from: message.cursor }, message.toLine === undefined ? undefined : message.toLine + 1);
        return true;
      case 'subscribed':
        this.searched(message.cursor);
        this.#fresh = true;
        return true;
      case 'end': {
        const end = `${message.cursor} ${message.runs}`;
        const again = fresh && end === this.#end;
        this.#end = end;
        return !again;
      }
    }
  }

  /** Everything before this cursor was seen, or is not wanted. */
  searched(cursor: string): void {
    this.#start = { from: cursor };
    this.#moved = true;
  }

  /**
   * The relay does not know the place: its store was replaced. A task goes on by line number, a merged stream from what
   * is now the end, and either as it was asked to begin if nothing had come yet. Undefined: the place is one that the
   * caller gave.
   */
  reset(): { from: number | 'start' | 'now' } | undefined {
    if (!this.#moved) return undefined;
    const { from: asked, after, tail } = this.#asked;
    const live = (asked ?? 'now') === 'now' && after === undefined && tail === undefined;
    const from = this.#nextLine ?? (live || (this.#sawLines && !this.#ofTask) ? 'now' : 'start');
    this.#start = { from };
    return { from };
  }

  #to(start: Start, nextLine: number | undefined): void {
    this.#start = start;
    this.#moved = true;
    this.#sawLines = true;
    if (this.#ofTask && nextLine !== undefined) this.#nextLine = nextLine;
  }
}

export type Start = Pick<SubscribeOptions, 'from' | 'after' | 'tail'>;
