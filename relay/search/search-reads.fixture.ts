import { setImmediate as turn } from 'node:timers/promises';
import type { Read, Stored, StoreReads } from '../store/store.ts';

/** What a thread reads instead of a store; tasks are named after what happens. */
export function openReads(): StoreReads {
  return {
    read: async ({ from }: Read): Promise<Stored[]> => {
      const { task, line } = from as { task: string; line: number };
      if (task === 'dies') process.exit(3);
      if (task === 'fails') throw new Error('the disk is gone');
      if (task === 'lasts') {
        await turn();
        return [{ kind: 'gap', task, firstLine: line, count: 1, reason: 'dropped' }];
      }
      return [];
    },
    runs: async () => Promise.resolve([]),
    close: () => undefined,
  };
}
