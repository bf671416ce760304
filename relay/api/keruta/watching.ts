import { KerutaError } from '../../../shared/errors.ts';
import type { Principal } from '../../auth/principal.ts';
import type { Caller } from '../../caller.ts';
import type { Limits } from '../../limits/limits.ts';
import type { MergedReader } from '../../merged/merged-reader.ts';
import type { SnapshotStore } from '../../pipelines/snapshot.ts';
import type { Reader } from '../../reader.ts';
import type { Outgoing } from '../outgoing.ts';
import { mayOn, requireOn } from '../permission.ts';
import { MergedStream } from './merged-stream.ts';
import type { Stream } from './stream.ts';
import { readSubscribe, type Subscribe, type Target, type ViewerRequest } from './subscribe.ts';
import { labelOf, Subscriptions, type Label, type Place } from './subscriptions.ts';
import { TaskStream } from './task-stream.ts';

/** What the one at the other end of a socket watches, and whether it may. */
export class Watching {
  readonly #options: WatchingOptions;
  readonly #subscriptions: Subscriptions;
  /** Whether the path's task is watched only because nobody has said otherwise. */
  #implicit = false;

  constructor(options: WatchingOptions) {
    this.#options = options;
    this.#subscriptions = new Subscriptions({
      streamOf: (target, subscribe) => this.#streamOf(target, subscribe),
      out: options.out,
      now: options.now,
      onError: options.onError,
    });
  }

  get size(): number {
    return this.#subscriptions.size;
  }

  places(): Iterable<Place> {
    return this.#subscriptions.places();
  }

  /** What a bare connect means, now that it is known who came. Answers whether that one may do anything here. */
  async welcome({ principal }: Caller): Promise<boolean> {
    const { taskId: task, reader, gone } = this.#options;
    if (task === undefined) return true;
    if (!(await mayOn(principal, { scope: 'read', task, reader }))) return principal.mayIfLabelled('ingest', task);
    if (gone.aborted) return true;
    this.#implicit = true;
    const target = { taskId: task };
    this.#subscriptions.start({ name: undefined, target, subscribe: readSubscribe(undefined, target) });
    return true;
  }

  /** Tells `onError` what is wrong with it; what was subscribed to before goes on then. */
  async subscribe({ name, target: asked, options }: SubscribeRequest, { principal, address }: Caller): Promise<void> {
    const { limits, gone, onError } = this.#options;
    try {
      const target = this.#orPath(asked);
      const subscribe = readSubscribe(options, target);
      // It may cost as much as a request.
      limits?.request(address);
      await this.#require(principal, target);
      if (gone.aborted) return;
      this.#subscriptions.start({ name, target, subscribe });
      this.#implicit = false;
    } catch (error) {
      onError(error, labelOf(name, asked ?? this.#pathTarget));
    }
  }

  /** Which subscription it was. Throws a KerutaError if nothing says which. */
  unsubscribe({ name, taskId }: UnsubscribeRequest): Label {
    if (name !== undefined) return this.#subscriptions.stop(name, undefined);
    return this.#subscriptions.stop(name, this.#orPath(taskId === undefined ? undefined : { taskId }));
  }

  /** Who sends logs does not want to hear them again, unless it has asked for them. */
  sends(): void {
    if (!this.#implicit) return;
    this.#implicit = false;
    this.#subscriptions.stop(undefined, this.#pathTarget);
  }

  /** Ends what may not be watched any more: the token is another one now, or the labels of a task have changed. */
  async review(): Promise<void> {
    const { caller, gone, onError } = this.#options;
    const reviewed = caller();
    if (reviewed === undefined) return;
    for (const { label, target } of [...this.#subscriptions.places()]) {
      try {
        await this.#require(reviewed.principal, target);
      } catch (error) {
        // Whoever has brought another token meanwhile is looked at for that.
        if (gone.aborted || reviewed !== caller()) return;
        this.#subscriptions.stop(label.subscription, target);
        onError(error, label);
      }
    }
  }

  stop(): void {
    this.#subscriptions.stopAll();
  }

  /** Rejects with FORBIDDEN. Of many tasks, those that may not be read are left out while they are read. */
  async #require(principal: Principal, target: Target): Promise<void> {
    if ('taskId' in target) {
      await requireOn(principal, { scope: 'read', task: target.taskId, reader: this.#options.reader });
    } else if (!principal.has('read')) {
      throw new KerutaError('FORBIDDEN', 'The token does not grant read.');
    }
  }

  #streamOf(target: Target, subscribe: Subscribe): Stream<unknown> {
    const { reader, merged, pipelines, caller } = this.#options;
    if ('taskId' in target) return new TaskStream({ task: target.taskId, subscribe, reader });
    const principal = (): Principal | undefined => caller()?.principal;
    return new MergedStream({ target, subscribe, merged, facts: reader.facts, pipelines, principal });
  }

  get #pathTarget(): Target | undefined {
    const { taskId } = this.#options;
    return taskId === undefined ? undefined : { taskId };
  }

  #orPath(target: Target | undefined): Target {
    const meant = target ?? this.#pathTarget;
    if (meant === undefined) {
      throw new KerutaError(
        'INVALID_INPUT',
        'This path names no task: one of taskId, pipelineId and all must be given.',
      );
    }
    return meant;
  }
}

export interface WatchingOptions {
  /** The path's task, if it names one. */
  taskId: string | undefined;
  /** Who it is now; undefined before somebody was let in. */
  caller: () => Caller | undefined;
  reader: Reader;
  merged: MergedReader;
  /** What pipelines are looked up in. */
  pipelines: SnapshotStore;
  limits: Pick<Limits, 'request'> | undefined;
  out: Outgoing;
  now: () => number;
  /** Aborts when the socket has closed: nothing is started any more. */
  gone: AbortSignal;
  /** A subscription could not be started, has ended with an error, or is not allowed any more. */
  onError: (error: unknown, label: Label) => void;
}

type SubscribeRequest = Extract<ViewerRequest, { type: 'subscribe' }>;
type UnsubscribeRequest = Extract<ViewerRequest, { type: 'unsubscribe' }>;
