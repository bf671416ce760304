import { setTimeout as sleep } from 'node:timers/promises';
import { conversations, watcher } from '../conversations.ts';
import type { Mark } from '../mark.ts';
import type { Relay } from '../programs.ts';
import { Peer } from '../viewers-peer.ts';
import type { Steady } from './load.ts';
import type { Problems } from './problems.ts';
import { Sequences } from './sequence.ts';

/** One who reads a task from its first line to its last, and says how late the lines come. */
export class Follower {
  /** ms from writing to arrival, since somebody took them. */
  delays: number[] = [];
  readonly sequences: Sequences;
  readonly #peer: Peer;
  readonly #steady: Steady;

  constructor(relay: Relay, steady: Steady) {
    this.#steady = steady;
    this.sequences = new Sequences({ fromStartOf: steady.script });
    this.#peer = new Peer(relay.url, watcher(steady.task, { from: 'start' }), (mark, now) => {
      this.sequences.heard(mark);
      this.delays.push(now - mark.time);
    });
  }

  get ready(): Promise<unknown> {
    return this.#peer.ready;
  }

  /** Resolves with the first line. */
  get begun(): Promise<void> {
    return this.#peer.got(1);
  }

  /** Waits for what is still to come when the agent has ended, and leaves. */
  async finish(problems: Problems): Promise<void> {
    const { lines, script, task } = this.#steady;
    if (this.#peer.lost) problems.add(`who followed ${task} was sent away after ${this.#peer.lines} lines`);
    await Promise.race([this.#peer.got(lines), sleep(LAST_LINES_MS, undefined, { ref: false })]).catch(() => undefined);
    this.sequences.ended(script, lines);
    this.#peer.close();
  }
}

/** Readers over every API who come, read for some seconds and go. */
export class Visitors {
  visits = 0;
  /** Over all of them. */
  readonly found = { lines: 0, lost: 0, again: 0 };
  readonly #relay: Relay;
  readonly #tasks: readonly string[];
  readonly #problems: Problems;
  readonly #random: () => number;
  readonly #over = new AbortController();
  readonly #present = new Set<Promise<void>>();
  readonly #coming: Promise<void>;

  constructor({ relay, tasks, problems, random }: VisitorsOptions) {
    this.#relay = relay;
    this.#tasks = tasks;
    this.#problems = problems;
    this.#random = random;
    this.#coming = this.#come();
  }

  get present(): number {
    return this.#present.size;
  }

  /** Resolves when all have left. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#coming;
    await Promise.all(this.#present);
  }

  async #come(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      if (this.#present.size < MAX_PRESENT) {
        const visit = this.#visit().finally(() => this.#present.delete(visit));
        this.#present.add(visit);
      }
      await sleep(2 * MEAN_PAUSE_MS * this.#random(), undefined, { signal }).catch(() => undefined);
    }
  }

  async #visit(): Promise<void> {
    const task = this.#pick(this.#tasks);
    const kinds = [...conversations(task), watcher(task, { tail: 1000 }), watcher(task, { from: 'now', batch: true })];
    const sequences = new Sequences();
    let damaged = '';
    const heard = (mark: Mark): void => sequences.heard(mark);
    const peer = new Peer(this.#relay.url, this.#pick(kinds), heard);
    this.visits++;
    try {
      await peer.ready;
      await Promise.race([peer.closed, this.#stay()]);
      if (peer.lost) damaged = `was sent away after ${peer.lines} lines`;
    } catch (error) {
      damaged = `was not let in (${(error as Error).message})`;
    } finally {
      peer.close();
    }
    const { lines, lost, again } = sequences;
    this.found.lines += lines;
    this.found.lost += lost;
    this.found.again += again;
    if (lost + again > 0) damaged = `missed ${lost} lines and got ${again} again`;
    if (damaged !== '') this.#problems.add(`a reader (${peer.name}) of ${task} ${damaged}`);
  }

  async #stay(): Promise<void> {
    const ms = MAX_STAY_MS * this.#random() ** 2;
    await sleep(ms, undefined, { signal: this.#over.signal }).catch(() => undefined);
  }

  #pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)];
  }
}

export interface VisitorsOptions {
  relay: Relay;
  tasks: readonly string[];
  problems: Problems;
  /** From 0 to 1. */
  random: () => number;
}

const MAX_PRESENT = 20;
const MEAN_PAUSE_MS = 700;
const MAX_STAY_MS = 25_000;
const LAST_LINES_MS = 60_000;
