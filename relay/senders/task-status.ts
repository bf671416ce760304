import { KerutaError } from '../../shared/errors.ts';
import type { TaskNote } from '../store/store.ts';
import { CANCELLED, FAILED, SUCCEEDED, type RunResult } from './sent-run.ts';

/** What somebody says of a task: what it does now, or how it came out, and what is shown with it. */
export interface StatusUpdate {
  /** `pending`: it is announced, no more. */
  effect: 'pending' | 'running' | RunResult;
  note: TaskNote;
}

/**
 * Reads `{status, message?, progress?, errorCode?}`; other members are let pass. Message and error code belong to the
 * status: a new one without them takes them away. Throws a KerutaError INVALID_INPUT that names the member.
 */
export function readStatus(value: unknown): StatusUpdate {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('The status is no JSON object.');
  const { status, message, progress, errorCode } = value as Record<string, unknown>;
  const effect = typeof status === 'string' ? EFFECTS.get(status.toUpperCase()) : undefined;
  if (effect === undefined) {
    throw wrong(
      `status ${isAbsent(status) ? 'is missing' : `is ${shown(status)}`}; it may be ${[...EFFECTS.keys()].join(', ')}.`,
    );
  }
  const note: TaskNote = {
    message: readText(message, { name: 'message', max: MAX_MESSAGE_CHARACTERS }),
    errorCode: readText(errorCode, { name: 'errorCode', max: MAX_CODE_CHARACTERS }),
  };
  if (progress !== undefined) note.progress = readProgress(progress);
  return { effect, note };
}

function readText(value: unknown, { name, max }: { name: string; max: number }): string | null {
  if (isAbsent(value)) return null;
  if (typeof value !== 'string') throw wrong(`${name} is no text.`);
  if (value.length > max) throw wrong(`${name} has ${value.length} characters; ${max} are allowed.`);
  return value.toWellFormed();
}

function readProgress(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value === 'number' && value >= 0 && value <= 100) return value;
  throw wrong('progress must be a number from 0 to 100.');
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

/** A value as an error shows it, cut so that nobody gets back all that was sent. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, MAX_SHOWN_CHARACTERS)) : 'no text';
}

function wrong(message: string): KerutaError {
  return new KerutaError('INVALID_INPUT', message);
}

/** keruta's words. `CANCELED` is how some spell it. */
const EFFECTS = new Map<string, StatusUpdate['effect']>([
  ['PENDING', 'pending'],
  ['PROCESSING', 'running'],
  ['IN_PROGRESS', 'running'],
  ['RUNNING', 'running'],
  ['WAITING_FOR_INPUT', 'running'],
  ['COMPLETED', SUCCEEDED],
  ['FAILED', FAILED],
  ['CANCELLED', CANCELLED],
  ['CANCELED', CANCELLED],
]);
const MAX_MESSAGE_CHARACTERS = 4096;
const MAX_CODE_CHARACTERS = 256;
const MAX_SHOWN_CHARACTERS = 64;
