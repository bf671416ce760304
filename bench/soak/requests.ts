import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'undici';
import type { Relay } from '../programs.ts';
import type { Problems } from './problems.ts';

/** Somebody who looks around over HTTP, now and then: lists, pages, searches, exports, and a few lines posted. */
export class Requests {
  done = 0;
  readonly #client: Client;
  readonly #tasks: readonly string[];
  readonly #problems: Problems;
  readonly #random: () => number;
  readonly #over = new AbortController();
  readonly #running: Promise<void>;

  constructor({ relay, tasks, problems, random }: RequestsOptions) {
    this.#client = new Client(relay.url, { bodyTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS });
    this.#tasks = tasks;
    this.#problems = problems;
    this.#random = random;
    this.#running = this.#run();
  }

  /** Resolves when the last one is answered. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#running;
    await this.#client.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    for (let i = 0; !signal.aborted; i++) {
      const task = this.#tasks[Math.floor(this.#random() * this.#tasks.length)];
      const paths = [
        '/tasks?size=20',
        `/tasks/${task}/logs?size=100&page=${Math.floor(this.#random() * 1000)}`,
        `/tasks/${task}/logs?size=1000&after=start`,
        `/tasks/${task}/logs?size=100&q=burst&order=desc`,
        `/tasks/${task}/logs/count?q=all%20at%20once`,
        `/tasks/${task}/logs/stats`,
        '/tasks/job-0/logs/export?format=ndjson',
        '/pipelines?size=20',
      ];
      if (i % (paths.length + 1) === paths.length) await this.#post('/tasks/posted/logs');
      else await this.#ask('GET', paths[i % (paths.length + 1)]);
      this.done++;
      await sleep(2 * MEAN_PAUSE_MS * this.#random(), undefined, { signal }).catch(() => undefined);
    }
  }

  async #post(path: string): Promise<void> {
    const lines = Array.from({ length: 5 }, (_, i) => ({ level: 'INFO', message: `posted line ${i}` }));
    await this.#ask('POST', path, JSON.stringify(lines));
  }

  async #ask(method: 'GET' | 'POST', path: string, body?: string): Promise<void> {
    try {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const answer = await this.#client.request({ method, path: `/api/v1${path}`, headers, body: body ?? null });
      const text = await answer.body.text();
      // The first job may not have begun.
      const early = answer.statusCode === 404 && path.startsWith('/tasks/job-0/');
      if (answer.statusCode >= 400 && !early)
        this.#problems.add(`${method} ${path} answered ${answer.statusCode}: ${text.slice(0, 200)}`);
    } catch (error) {
      this.#problems.add(`${method} ${path} failed: ${(error as Error).message}`);
    }
  }
}

export interface RequestsOptions {
  relay: Relay;
  tasks: readonly string[];
  problems: Problems;
  /** From 0 to 1. */
  random: () => number;
}

const MEAN_PAUSE_MS = 500;
const PATIENCE_MS = 30_000;
