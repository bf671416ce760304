import type { FastifyRequest } from 'fastify';
import type { Scope } from '../../auth/principal.ts';
import { KerutaError } from '../../../shared/errors.ts';
import type { Reader } from '../../reader.ts';
import type { Store, TaskRecord } from '../../store/store.ts';
import type { Query } from './query.ts';

/** What routes answer from. */
export interface RouteParts {
  store: Pick<Store, 'pin' | 'pipelines' | 'pipeline' | 'tasks'>;
  reader: Reader;
}

export interface TaskRoute {
  Params: { taskId: string };
  Querystring: Query;
}

/**
 * The task that a request names, if its caller has the scope on it. Throws a KerutaError FORBIDDEN, or TASK_NOT_FOUND
 * to those only who might see the task if there were one.
 */
export async function permittedTask(
  { params, caller }: FastifyRequest<TaskRoute>,
  { reader, scope }: { reader: Reader; scope: Scope },
): Promise<TaskRecord> {
  const task = params.taskId;
  const { principal } = caller;
  principal.requireIfLabelled(scope, task);
  const record = await reader.task(task);
  principal.require(scope, record === undefined ? { task } : { task, labels: record.labels });
  if (record === undefined) throw taskNotFound(task);
  return record;
}

export function taskNotFound(task: string): KerutaError {
  return new KerutaError('TASK_NOT_FOUND', `There is no task ${JSON.stringify(task)}.`);
}
