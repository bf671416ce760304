import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../random.ts';
import type { Entrance, Sighting, StormReader } from '../contract.ts';
import { behind } from './sightings.ts';

export interface FollowerOptions {
  entrance: Entrance;
  name: string;
  tasks: readonly string[];
  random: Random;
  /** Leaves by itself after about so many ms, again and again, and comes back to where it was. */
  leavesAfterMs?: number;
}

/** A reader that connects, reads until the connection breaks, and comes back: subclasses say how one connection goes. */
export abstract class Follower implements StormReader {
  readonly name: string;
  readonly tasks: readonly string[];
  readonly seen: Sighting[] = [];
  reconnects = 0;
  protected readonly entrance: Entrance;
  protected readonly random: Random;
  /** The line behind the last one that was seen, by task; where lines show no numbers, none. */
  protected readonly next = new Map<string, number>();
  /** What was seen last of a task, the newest behind. */
  protected readonly recent = new Map<string, Sighting[]>();
  readonly #leavesAfterMs: number | undefined;
  readonly #closing = new AbortController();
  readonly #mine: ReadonlySet<string>;
  #running: Promise<void> | undefined;
  #failure: Error | undefined;
  #changed = Promise.withResolvers<undefined>();

  constructor({ entrance, name, tasks, random, leavesAfterMs }: FollowerOptions) {
    this.entrance = entrance;
    this.name = leavesAfterMs === undefined ? name : `${name}, coming and going`;
    this.tasks = tasks;
    this.random = random;
    this.#leavesAfterMs = leavesAfterMs;
    this.#mine = new Set(tasks);
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }

  async caughtUp(heads: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void> {
    const isAt = await this.headCheck(heads, signal);
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!this.tasks.every(isAt)) {
        if (this.#failure !== undefined) throw this.#failure;
        signal.throwIfAborted();
        await Promise.race([this.#changed.promise, aborted.promise]);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * One connection, from where it was to wherever it gets. Resolves or rejects when it is over, at once when `signal`
   * aborts. Rejects with a Refused if coming back is in vain.
   */
  protected abstract session(signal: AbortSignal): Promise<void>;

  /** What tells whether all of a task was seen. */
  protected headCheck(heads: ReadonlyMap<string, number>, signal: AbortSignal): Promise<(task: string) => boolean> {
    signal.throwIfAborted();
    return Promise.resolve((task) => (this.next.get(task) ?? 1) > (heads.get(task) ?? 0));
  }

  protected saw(sighting: Sighting): void {
    const { task } = sighting;
    if (task !== '' && !this.#mine.has(task)) return;
    this.seen.push(sighting);
    if (task !== '') {
      const recent = this.recent.get(task) ?? [];
      recent.push(sighting);
      if (recent.length > MAX_RECENT) recent.shift();
      this.recent.set(task, recent);
      this.next.set(task, Math.max(this.next.get(task) ?? 1, behind(sighting)));
    }
    this.#news();
  }

  /** Waits, unless it is to end. */
  protected async pause(ms: number, signal: AbortSignal): Promise<void> {
    await delay(ms, undefined, { signal }).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const closing = this.#closing.signal;
    while (!closing.aborted) {
      const leave = new AbortController();
      const end = (): void => leave.abort();
      closing.addEventListener('abort', end);
      const stays = this.#leavesAfterMs;
      const timer = stays === undefined ? undefined : setTimeout(end, stays / 2 + this.random.below(stays));
      try {
        await this.session(leave.signal);
      } catch (error) {
        if (error instanceof Refused && !leave.signal.aborted) {
          this.#failure = new Error(`the reader ${this.name} was refused: ${error.message}`);
          this.#news();
          return;
        }
      } finally {
        clearTimeout(timer);
        closing.removeEventListener('abort', end);
      }
      this.reconnects++;
      await this.pause(50 + this.random.below(250), closing);
    }
  }

  #news(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve(undefined);
  }
}

/** More than are alike in a row. */
const MAX_RECENT = 20;

/** Coming back is in vain, says the relay. In a storm it has no reason to. */
export class Refused extends Error {}
