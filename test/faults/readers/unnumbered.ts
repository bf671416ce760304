import type { Entrance, Sighting } from '../contract.ts';
import { askJson } from '../http.ts';
import { Follower } from './follower.ts';
import type { Page } from './sightings.ts';

/** A reader whose API shows no line numbers. It has seen all when what it saw last is what the log ends with. */
export abstract class UnnumberedFollower extends Follower {
  protected override async headCheck(
    heads: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): Promise<(task: string) => boolean> {
    const isLast = new Map<string, (seen: Sighting | undefined) => boolean>();
    for (const task of this.tasks)
      isLast.set(task, await lastOf(this.entrance, { task, head: heads.get(task) ?? 0, signal }));
    return (task) => isLast.get(task)?.(this.last.get(task)) ?? true;
  }
}

/** What tells whether something is what a log ends with. */
async function lastOf(
  entrance: Entrance,
  { task, head, signal }: { task: string; head: number; signal: AbortSignal },
): Promise<(seen: Sighting | undefined) => boolean> {
  if (head === 0) return () => true;
  const path = `/api/v1/tasks/${encodeURIComponent(task)}/logs?order=desc&page=0&size=1`;
  const { content } = await askJson<Page>(entrance, { path, signal });
  const line = content.at(0);
  // It ends with a gap, which says so.
  if (line?.lineNumber !== head) return (seen) => seen?.type === 'gap' && seen.toLine >= head;
  return (seen) => seen?.type === 'line' && seen.text === line.message && seen.source === line.source;
}
