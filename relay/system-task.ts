import { KerutaError } from '../shared/errors.ts';

/** The task whose lines are what happens to the relay itself. */
export const SYSTEM_TASK = 'keruta-relay';

/**
 * Throws a KerutaError FORBIDDEN if this is the task that only the relay writes, or a task of the pipeline of that name:
 * to whoever reads the group, its lines would be the relay's.
 */
export function refuseSystemTask(task: string, pipelineId?: string): void {
  if (task !== SYSTEM_TASK && pipelineId !== SYSTEM_TASK) return;
  const other = task === SYSTEM_TASK ? 'task' : 'pipeline';
  throw new KerutaError('FORBIDDEN', `Only the relay writes the task "${SYSTEM_TASK}"; use another ${other} id.`);
}
