import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';

const living = new Set<ChildProcess>();

/** Starts a process that is killed when this one ends, however it ends. */
export function spawnOwned(command: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command[0], command.slice(1), options);
  // First of all that is done at the end: they write into folders that are deleted then.
  if (living.size === 0) process.prependListener('exit', killAll);
  living.add(child);
  child.once('exit', () => {
    living.delete(child);
    if (living.size === 0) process.off('exit', killAll);
  });
  return child;
}

function killAll(): void {
  for (const child of living) child.kill('SIGKILL');
}
