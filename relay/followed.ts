import type { Batch } from './cursor.ts';
import type { MergedBatch } from './merged/merged-event.ts';

/** The tasks that are being followed: how far their readers are behind what is stored, and what they were given. */
export class Followed {
  /** Lines that were handed out to readers. */
  delivered = 0;
  readonly #tasks = new Map<string, FollowedTask>();
  #readers = 0;

  get readers(): number {
    return this.#readers;
  }

  /** Somebody follows a task, and is at `place`, which changes; until the answer is called. */
  join(task: string, place: Place): () => void {
    const followed = this.#tasks.get(task) ?? { nextLine: 0, places: new Set() };
    followed.places.add(place);
    this.#tasks.set(task, followed);
    this.#readers++;
    return () => {
      if (!followed.places.delete(place)) return;
      this.#readers--;
      if (followed.places.size === 0) this.#tasks.delete(task);
    };
  }

  /** A reader was given this. */
  took({ events }: Batch | MergedBatch): void {
    for (const event of events) {
      if (event.type === 'lines') this.delivered += event.matches?.length ?? event.end - event.first;
    }
  }

  /** Something was stored in a task. */
  stored(task: string, nextLine: number): void {
    const followed = this.#tasks.get(task);
    if (followed !== undefined) followed.nextLine = nextLine;
  }

  /**
   * Lines that readers have not been given yet: of the one that is furthest behind, and of all together. As far as
   * something was stored since somebody follows the task.
   */
  lag(): { most: number; all: number } {
    let most = 0;
    let all = 0;
    for (const { nextLine, places } of this.#tasks.values()) {
      for (const place of places) {
        const behind = Math.max(0, nextLine - (place.nextLine ?? nextLine));
        most = Math.max(most, behind);
        all += behind;
      }
    }
    return { most, all };
  }
}

interface FollowedTask {
  nextLine: number;
  places: Set<Place>;
}

export interface Place {
  /** All lines below it were handed out; undefined before it is known where to begin. */
  readonly nextLine: number | undefined;
}
