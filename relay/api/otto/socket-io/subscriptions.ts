import { KerutaError } from '../../../../shared/errors.ts';
import type { Caller } from '../../../caller.ts';
import type { Filter } from '../../../filter.ts';
import type { Limits } from '../../../limits/limits.ts';
import { requireOn } from '../../permission.ts';
import { OttoFilter } from '../filter.ts';
import { taskLog } from '../log-source.ts';
import type { OttoParts } from '../parts.ts';
import type { PipelineProgress } from '../pipeline-progress.ts';
import { Feeds } from './feeds.ts';
import { LogFeed } from './log-feed.ts';
import type { Outlet } from './outlet.ts';
import { PipelineFeed } from './pipeline-feed.ts';
import { readFilterUpdate, readPipeline, readSubscribe, readTask, type Start } from './requests.ts';
import type { ServerStats } from './server-stats.ts';

export interface SubscriptionsOptions extends Pick<OttoParts, 'reader' | 'runFacts' | 'now'> {
  caller: Caller;
  limits: Pick<Limits, 'request'>;
  progress: PipelineProgress;
  outlet: Outlet;
  stats: Pick<ServerStats, 'sent'>;
  /** One of them has ended with an error. */
  onError: (error: unknown, subject: Subject) => void;
}

/** What a subscription is about. */
export type Subject = { taskId: string } | { pipelineId: string };

/** What a client is told of what it asked for, and what begins once it was told. */
export interface Answer {
  said: object;
  begin?: () => void;
}

/** What one client has subscribed to. Each payload may be anything; what can't be done is a KerutaError. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #logs: Feeds<LogFeed>;
  readonly #pipelines: Feeds<PipelineFeed>;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    this.#logs = new Feeds((error, taskId) => options.onError(error, { taskId }));
    this.#pipelines = new Feeds((error, pipelineId) => options.onError(error, { pipelineId }));
  }

  get size(): number {
    return this.#logs.size + this.#pipelines.size;
  }

  stopAll(): void {
    this.#logs.stopAll();
    this.#pipelines.stopAll();
  }

  /** Ends what may not be watched any more: the labels of a task have changed. */
  async review(): Promise<void> {
    for (const taskId of this.#logs.names) {
      try {
        await this.#require(taskId);
      } catch (error) {
        this.#logs.stop(taskId);
        this.#options.onError(error, { taskId });
      }
    }
  }

  /**
   * Subscribes to a task, or leaves the subscription as it is: a client asks twice when it has asked before it was
   * connected. Another filter takes effect where the subscription is; only another start begins anew.
   */
  async subscribe(payload: unknown): Promise<Answer> {
    const { taskId, filter: wanted, start } = readSubscribe(payload);
    await this.#admit(taskId);
    const old = this.#logs.get(taskId);
    if (old === undefined) this.#logs.checkSpace();
    const goesOn = old !== undefined && (start === undefined || isSame(start, old.start));
    const filter = wanted?.on(taskId) ?? old?.filter ?? new OttoFilter({}).on(taskId);
    const said = { taskId, message: `Subscribed to the log of ${taskId}.`, roomName: `task:${taskId}` };
    if (goesOn) {
      if (filter.key !== old.filter.key) return this.#replace(old, { taskId, filter, said });
      return { said: { ...said, cursor: this.#cursor(old.nextLine) } };
    }
    const from = await this.#place(taskId, start ?? { from: 'start' });
    return this.#begin({ taskId, filter, start, from, said });
  }

  unsubscribe(payload: unknown): Answer {
    const taskId = readTask(payload);
    this.#logs.stop(taskId);
    return { said: { taskId, message: `Unsubscribed from the log of ${taskId}.` } };
  }

  /** The lines behind those that were sent already are filtered anew. */
  updateFilter(payload: unknown): Answer {
    const { taskId, filter } = readFilterUpdate(payload);
    const old = this.#logs.get(taskId);
    if (old === undefined) throw new KerutaError('INVALID_INPUT', `There is no subscription to ${taskId} yet.`);
    const said = { taskId, filter: filter.given, message: `The filter on ${taskId} was replaced.` };
    return this.#replace(old, { taskId, filter: filter.on(taskId), said });
  }

  /** Asked for again, it is as it was: of a pipeline there is only one place. */
  subscribeToPipeline(payload: unknown): Answer {
    const pipelineId = readPipeline(payload);
    const { limits, caller, progress, outlet } = this.#options;
    const { principal, address } = caller;
    limits.request(address);
    if (!principal.has('read')) throw new KerutaError('FORBIDDEN', 'The token does not grant read.');
    const said = {
      pipelineId,
      message: `Subscribed to the progress of ${pipelineId}.`,
      roomName: `pipeline:${pipelineId}`,
    };
    if (this.#pipelines.get(pipelineId) !== undefined) return { said };
    this.#pipelines.checkSpace();
    const feed = new PipelineFeed({ pipelineId, principal, progress, outlet });
    return { said, begin: () => this.#pipelines.start(pipelineId, feed) };
  }

  unsubscribeFromPipeline(payload: unknown): Answer {
    const pipelineId = readPipeline(payload);
    this.#pipelines.stop(pipelineId);
    return { said: { pipelineId, message: `Unsubscribed from the progress of ${pipelineId}.` } };
  }

  #replace(old: LogFeed, { taskId, filter, said }: { taskId: string; filter: Filter; said: object }): Answer {
    // From here on its place stands still.
    old.stop();
    return this.#begin({ taskId, filter, start: old.start, from: old.nextLine, said });
  }

  #begin({ said, taskId, ...feed }: Begun): Answer {
    const { reader, runFacts, outlet, stats, now } = this.#options;
    const started = new LogFeed({ task: taskId, ...feed, reader, runFacts, outlet, stats, now });
    // What the client is told comes before the first line.
    const begin = (): void => this.#logs.start(taskId, started);
    return { said: { ...said, cursor: this.#cursor(feed.from) }, begin };
  }

  /** Whether it may be asked for at all, which may cost as much as a request. */
  async #admit(taskId: string): Promise<void> {
    const { limits, caller } = this.#options;
    limits.request(caller.address);
    await this.#require(taskId);
  }

  #require(task: string): Promise<void> {
    const { caller, reader } = this.#options;
    return requireOn(caller.principal, { scope: 'read', task, reader });
  }

  #place(taskId: string, start: Start): Promise<number> {
    const source = taskLog(this.#options, taskId);
    return 'cursor' in start ? source.cursorPlace(start.cursor) : source.place(start.from);
  }

  #cursor(line: number): string {
    return this.#options.reader.cursors()(line);
  }
}

interface Begun {
  taskId: string;
  filter: Filter;
  start: Start | undefined;
  from: number;
  said: object;
}

function isSame(one: Start, other: Start | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
