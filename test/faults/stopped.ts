import { readFileSync } from 'node:fs';
import { steadyNow } from './arming.ts';
import { rest } from './stage.ts';

/**
 * Awakens a process that stops itself. It has said that it will, and may not have come to it yet: a signal that came too
 * early would be lost.
 */
export async function awaken(pid: number): Promise<void> {
  const since = steadyNow();
  while (stateOf(pid) !== undefined && stateOf(pid) !== 'T') {
    if (steadyNow() - since > PATIENCE_MS) throw new Error(`process ${pid} said that it stops, and did not`);
    await rest(5);
  }
  try {
    process.kill(pid, 'SIGCONT');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** One letter, as proc(5) has it; undefined if it is gone, or only waits for its parent to notice. */
function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const state = stat.slice(stat.lastIndexOf(')') + 2)[0];
    return state === 'Z' || state === 'X' ? undefined : state;
  } catch {
    return undefined;
  }
}

const PATIENCE_MS = 60_000;
