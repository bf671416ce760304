import type { Sender } from './sender.ts';
import { DIED } from './sent-run.ts';
import type { Senders } from './senders.ts';

/**
 * Runs whose sockets broke off without a word. Their senders get some time to come back and go on; then the runs have
 * ended without their agents.
 */
export class Orphans {
  readonly #options: OrphansOptions;
  /** In the order in which they were left. */
  readonly #orphans = new Set<Orphan>();

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#orphans.size;
  }

  add(sender: Sender, { workerId }: { workerId: string }): void {
    const { now, graceMs } = this.#options;
    this.#orphans.add({ sender, workerId, until: now() + graceMs });
    const [oldest] = this.#orphans;
    if (this.#orphans.size > MAX_ORPHANS) void this.#end(oldest);
  }

  /** The run of this task and worker that was left last, if there is one, to go on with. */
  take(task: string, workerId: string): Sender | undefined {
    const found = [...this.#orphans].findLast((one) => one.sender.task === task && one.workerId === workerId);
    if (found !== undefined) this.#orphans.delete(found);
    return found?.sender;
  }

  async sweep(): Promise<void> {
    const now = this.#options.now();
    const due = [...this.#orphans].filter(({ until }) => until <= now);
    await Promise.all(due.map((orphan) => this.#end(orphan)));
  }

  async #end(orphan: Orphan): Promise<void> {
    this.#orphans.delete(orphan);
    await this.#options.senders.finish(orphan.sender, DIED);
  }
}

export interface OrphansOptions {
  senders: Pick<Senders, 'finish'>;
  graceMs: number;
  now: () => number;
}

interface Orphan {
  sender: Sender;
  workerId: string;
  until: number;
}

const MAX_ORPHANS = 10_000;
