import { askJson, StatusError } from '../http.ts';
import { Follower, Refused } from './follower.ts';
import { isInVain } from './socket.ts';
import { pageSightings, type Page } from './sightings.ts';

/** Walks page by page, each behind the last line that it knows, and asks again where there is nothing yet. */
export class PagesReader extends Follower {
  #after = 'start';

  protected override async session(signal: AbortSignal): Promise<void> {
    const [task] = this.tasks;
    const path = `/api/v1/tasks/${encodeURIComponent(task)}/logs`;
    while (!signal.aborted) {
      const query = new URLSearchParams({ after: this.#after, size: String(1 + this.random.below(700)) });
      const page = await this.#page(`${path}?${query.toString()}`, signal);
      if (page === undefined) {
        await this.pause(ASK_EVERY_MS, signal);
        continue;
      }
      for (const sighting of pageSightings(task, page, this.next.get(task) ?? 1)) this.saw(sighting);
      this.#after = page.content.at(-1)?.id ?? this.#after;
      if (page.next === null) await this.pause(ASK_EVERY_MS, signal);
    }
  }

  /** Undefined: nobody knows the task yet. */
  async #page(path: string, signal: AbortSignal): Promise<Page | undefined> {
    try {
      return await askJson(this.entrance, { path, signal });
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (error.status === 404) return undefined;
      throw isInVain(error.status) ? new Refused(error.message) : error;
    }
  }
}

const ASK_EVERY_MS = 250;
