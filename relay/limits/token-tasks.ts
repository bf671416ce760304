import type { Principal } from '../auth/principal.ts';

/** The tasks that each token has written to within a day, as many as it may. */
export class TokenTasks {
  readonly #allowed: number;
  readonly #now: () => number;
  /** By the principal's name: its tasks, the one that was written to longest ago first, and when. */
  readonly #tasks = new Map<string, Map<string, number>>();

  /** `allowed` 0: any number. `now` is monotonic, in ms. */
  constructor(allowed: number, now: () => number) {
    this.#allowed = allowed;
    this.#now = now;
  }

  /** After how many ms the principal may write to the task; 0 if it may, which is noted. Nobody without a token is counted. */
  waitMs({ name }: Principal, task: string): number {
    if (this.#allowed === 0 || name === NOBODY) return 0;
    const now = this.#now();
    const tasks = this.#tasks.get(name) ?? new Map<string, number>();
    this.#tasks.delete(name);
    this.#tasks.set(name, tasks);
    for (const [oldest, at] of tasks) {
      if (now - at < DAY_MS) break;
      tasks.delete(oldest);
    }
    if (!tasks.has(task) && tasks.size >= this.#allowed) {
      const [firstAt] = tasks.values();
      return Math.ceil(firstAt + DAY_MS - now);
    }
    tasks.delete(task);
    tasks.set(task, now);
    const [oldest] = this.#tasks.keys();
    if (this.#tasks.size > MAX_TOKENS) this.#tasks.delete(oldest);
    return 0;
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;
const NOBODY = 'anonymous';
/** Of JSON Web Tokens there is one for each subject, as many as whoever issues them likes. */
const MAX_TOKENS = 10_000;
