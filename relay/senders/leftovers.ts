import type { RunRecord, Store, TaskStatus } from '../store/store.ts';

/**
 * The open runs that the relay wrote for senders and that an earlier process of it has left, whether it was stopped or
 * killed. To be asked before the first sender is let in.
 */
export async function* leftRuns(store: Pick<Store, 'tasks' | 'runs'>): AsyncGenerator<RunRecord> {
  for (const status of OPEN) {
    let before: string | undefined;
    for (;;) {
      const tasks = await store.tasks({ limit: PAGE, status, ...(before !== undefined && { before }) });
      for (const { task } of tasks) {
        for (const run of await store.runs(task)) {
          if (run.endedAt === null && run.agentVersion.startsWith('api/')) yield run;
        }
      }
      before = tasks.at(-1)?.task;
      if (tasks.length < PAGE) break;
    }
  }
}

const OPEN: readonly TaskStatus[] = ['running', 'lost'];
const PAGE = 200;
