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
    const isEnd = new Map<string, IsEnd>();
    for (const task of this.tasks)
      isEnd.set(task, await endOf(this.entrance, { task, head: heads.get(task) ?? 0, signal }));
    return (task) => isEnd.get(task)?.(this.recent.get(task) ?? []) ?? true;
  }
}

/** Whether what was seen, the newest behind, is what a log ends with. */
type IsEnd = (recent: readonly Sighting[]) => boolean;

async function endOf(
  entrance: Entrance,
  { task, head, signal }: { task: string; head: number; signal: AbortSignal },
): Promise<IsEnd> {
  if (head === 0) return () => true;
  const path = `/api/v1/tasks/${encodeURIComponent(task)}/logs?order=desc&page=0&size=${ENOUGH_LINES}`;
  const { content } = await askJson<Page>(entrance, { path, signal });
  if (content.at(0)?.lineNumber !== head) {
    // It ends with a gap, which says so.
    return (recent) => {
      const last = recent.at(-1);
      return last?.type === 'gap' && last.toLine >= head;
    };
  }
  // One line alone may be like others: many are empty.
  return (recent) => {
    const lines = recent.filter((one) => one.type === 'line');
    return content.every(({ message, source }, i) => {
      const seen = lines.at(-1 - i);
      return seen?.text === message && seen.source === source;
    });
  };
}

const ENOUGH_LINES = 10;
