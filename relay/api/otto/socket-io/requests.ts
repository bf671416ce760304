import { KerutaError } from '../../../../shared/errors.ts';
import { taskIdProblem } from '../../../../shared/task-id.ts';
import { MAX_TEXT_CHARACTERS } from '../../../../shared/wire.ts';
import { OttoFilter } from '../filter.ts';

/** `subscribe-to-logs`, read. */
export interface Subscribe {
  taskId: string;
  /** Undefined: none was given. */
  filter: OttoFilter | undefined;
  start: Start | undefined;
}

/** Where to start: what a cursor says, or `start`, `now`, a line number, or a cursor, too. */
export type Start = { cursor: string } | { from: string };

/** Each throws a KerutaError INVALID_INPUT that says what of the payload can't be read. */
export function readSubscribe(payload: unknown): Subscribe {
  const { taskId, filter, cursor, from } = objectOf(payload);
  if (isGiven(cursor) && isGiven(from)) {
    throw new KerutaError('INVALID_INPUT', 'Only one of cursor and from can be given.');
  }
  return {
    taskId: readTaskId(taskId),
    filter: isGiven(filter) ? new OttoFilter(plain(filter, 'filter')) : undefined,
    start: isGiven(cursor)
      ? { cursor: readText(cursor, 'cursor') }
      : isGiven(from)
        ? { from: readPlace(from) }
        : undefined,
  };
}

export function readTask(payload: unknown): string {
  return readTaskId(objectOf(payload).taskId);
}

/** Of a pipeline's id there is only its length to be wrong: agents may name it anything. */
export function readPipeline(payload: unknown): string {
  const text = readText(objectOf(payload).pipelineId, 'pipelineId');
  if (text !== '' && text.length <= MAX_TEXT_CHARACTERS) return text;
  throw new KerutaError('INVALID_INPUT', `pipelineId must have 1 to ${MAX_TEXT_CHARACTERS} characters.`);
}

export function readFilterUpdate(payload: unknown): { taskId: string; filter: OttoFilter } {
  const { taskId, filter } = objectOf(payload);
  if (!isGiven(filter)) throw new KerutaError('INVALID_INPUT', 'filter is missing; {} lets everything through.');
  return { taskId: readTaskId(taskId), filter: new OttoFilter(plain(filter, 'filter')) };
}

function objectOf(payload: unknown): Record<string, unknown> {
  return plain(payload, 'The payload') as Record<string, unknown>;
}

/** What came as bytes is an object, too. */
function plain(value: unknown, name: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)) return value;
  throw new KerutaError('INVALID_INPUT', `${name} must be an object.`);
}

function readTaskId(value: unknown): string {
  const text = readText(value, 'taskId');
  const problem = taskIdProblem(text);
  if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `taskId ${problem}.`);
  return text;
}

function readPlace(from: unknown): string {
  if (typeof from === 'number' && Number.isSafeInteger(from) && from >= 0) return String(from);
  return readText(from, 'from');
}

function readText(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new KerutaError('INVALID_INPUT', value === undefined ? `${name} is missing.` : `${name} must be text.`);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
