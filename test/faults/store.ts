import type { Entrance, Sighting } from './contract.ts';
import type { StoredRun, StoredTask } from './evidence.ts';
import { askJson, StatusError } from './http.ts';
import { behind, pageSightings, type Page } from './readers/sightings.ts';

/** The tasks that there are, with their logs, as pages show them. A task that nobody knows is left out. */
export async function readStore(
  entrance: Entrance,
  tasks: readonly string[],
  signal: AbortSignal,
): Promise<StoredTask[]> {
  const all: StoredTask[] = [];
  for (const task of tasks) {
    const stored = await readTask(entrance, task, signal);
    if (stored !== undefined) all.push(stored);
  }
  return all;
}

async function readTask(entrance: Entrance, task: string, signal: AbortSignal): Promise<StoredTask | undefined> {
  const path = `/api/v1/tasks/${encodeURIComponent(task)}`;
  let facts: { lines: number; missing: number; runs: StoredRun[] };
  try {
    facts = await askJson(entrance, { path, signal });
  } catch (error) {
    if (error instanceof StatusError && error.status === 404) return undefined;
    throw error;
  }
  const log: Sighting[] = [];
  for (let after: string | null = 'start'; after !== null;) {
    const page: Page = await askJson(entrance, {
      path: `${path}/logs?size=1000&after=${encodeURIComponent(after)}`,
      signal,
    });
    log.push(...pageSightings(task, page, behindLast(log)));
    after = page.next;
  }
  return { task, log, ...facts };
}

function behindLast(log: readonly Sighting[]): number {
  const last = log.at(-1);
  return last === undefined ? 1 : behind(last);
}
