import { KerutaError } from '../../shared/errors.ts';
import type { Principal, Scope } from '../auth/principal.ts';
import type { TaskFacts } from '../merged/task-facts.ts';
import type { Reader } from '../reader.ts';

/** Whether the scope is granted on a task. Its labels are looked up only where they matter. */
export async function mayOn(principal: Principal, { scope, task, reader }: Permission): Promise<boolean> {
  if (principal.may(scope, { task })) return true;
  if (!principal.mayIfLabelled(scope, task)) return false;
  const record = await reader.task(task);
  return record !== undefined && principal.may(scope, { task, labels: record.labels });
}

/** As `mayOn`; rejects with a KerutaError FORBIDDEN if it is not. */
export async function requireOn(principal: Principal, permission: Permission): Promise<void> {
  const { scope, task } = permission;
  if (!(await mayOn(principal, permission))) principal.require(scope, { task });
}

/**
 * Which tasks of a merged stream a caller may see. Throws a KerutaError FORBIDDEN to whoever may read none: the others
 * get a stream of what they may, and do not learn what else there is.
 */
export function readableTasks(principal: Principal): (task: TaskFacts) => boolean {
  if (!principal.has('read')) throw new KerutaError('FORBIDDEN', 'The token does not grant read.');
  return (task) => principal.may('read', task);
}

export interface Permission {
  scope: Scope;
  task: string;
  reader: Pick<Reader, 'task'>;
}
