import { rest } from './stage.ts';
import type { Weather } from './weather.ts';

/** Deletes old lines of some tasks every so often. `trimmed` says through which line at most, by task. */
export async function trimTasks(weather: Weather, trimmed: Map<string, number>): Promise<void> {
  const { plan, random, over, isOver, say } = weather;
  const tasks = plan.agents.filter((agent) => agent.trimmed).map(({ task }) => task);
  /** Asked for, and not known to be over. */
  const doubtful = new Set<string>();
  while (!isOver() && tasks.length > 0) {
    await rest(200 + random.below(600), over);
    const task = random.pick(tasks);
    try {
      if (doubtful.has(task)) await bound(weather, task, trimmed);
      doubtful.delete(task);
      if (await trim(weather, task, () => doubtful.add(task))) await bound(weather, task, trimmed);
      doubtful.delete(task);
    } catch (error) {
      // The relay is away; what was asked of it may have been done.
      say(`${task} could not be trimmed: ${(error as Error).message}`);
    }
  }
  for (const task of doubtful) trimmed.set(task, Infinity);
}

async function trim({ ask, random }: Weather, task: string, onAsked: () => void): Promise<boolean> {
  const path = `/api/v1/tasks/${task}`;
  const { firstLine, lastLine } = (await ask('GET', path)) as TaskLines;
  if (lastLine - firstLine < KEPT_LINES) return false;
  const page = random.below(lastLine - firstLine - KEPT_LINES + 1);
  const found = (await ask('GET', `${path}/logs?size=1&page=${page}`)) as { content: { timestamp: string }[] };
  if (found.content.length === 0) return false;
  onAsked();
  await ask('DELETE', `${path}/logs?before=${encodeURIComponent(found.content[0].timestamp)}`);
  return true;
}

/** Nothing that is not there yet can have been deleted. */
async function bound({ ask }: Weather, task: string, trimmed: Map<string, number>): Promise<void> {
  const { lastLine } = (await ask('GET', `/api/v1/tasks/${task}`)) as TaskLines;
  trimmed.set(task, lastLine);
}

interface TaskLines {
  firstLine: number;
  lastLine: number;
}

const KEPT_LINES = 50;
