import { KerutaError } from '../shared/errors.ts';

/** The task whose lines are what happens to the relay itself. */
export const SYSTEM_TASK = 'keruta-relay';

/** Throws a KerutaError FORBIDDEN if this is the task that only the relay writes. */
export function refuseSystemTask(task: string): void {
  if (task !== SYSTEM_TASK) return;
  throw new KerutaError('FORBIDDEN', `Only the relay writes the task ${JSON.stringify(task)}; use another task id.`);
}
