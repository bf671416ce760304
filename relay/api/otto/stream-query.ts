import { KerutaError } from '../../../shared/errors.ts';
import type { LogSource } from './log-source.ts';

/** A query string, parsed: what is given twice is a list. */
export type StreamQuery = Readonly<Record<string, string | string[] | undefined>>;

/** Where a stream is to begin. */
export interface Start {
  place: number;
  /** Its client has seen everything before `place`, and that the task had ended, with so many runs. */
  endedRuns?: number;
  /** Why it begins where the URL says, and not where the client was. */
  problem?: KerutaError;
}

/**
 * Where a client wants to begin: behind the last event that it has seen, else at `cursor`, else at `from`, else at the
 * first line. A last event of another store does not end the stream, as its client would send the same for ever: it
 * begins anew, and is told why. Rejects with INVALID_INPUT or INVALID_CURSOR if the URL can't be read.
 */
export async function readStart(
  source: LogSource,
  { query, lastEventId }: { query: StreamQuery; lastEventId: string | undefined },
): Promise<Start> {
  const [cursor, from] = [single(query, 'cursor'), single(query, 'from')];
  const place =
    cursor === undefined ? await source.place(cursorOf(from ?? 'start')) : await source.cursorPlace(cursorOf(cursor));
  if (lastEventId === undefined || lastEventId === '') return { place };
  const [last, runs] = lastEventId.split(ENDED, 2) as [string, string?];
  try {
    const behind = await source.cursorPlace(last);
    return runs === undefined ? { place: behind } : { place: behind, endedRuns: Number(runs) };
  } catch (error) {
    if (!(error instanceof KerutaError) || error.code !== 'INVALID_CURSOR') throw error;
    return { place, problem: error };
  }
}

/** The id of the event that says that a task has ended: the place behind it, and how many runs had. */
export function endedId(cursor: string, runs: number): string {
  return `${cursor}${ENDED}${runs}`;
}

/** Of any event's id. */
function cursorOf(id: string): string {
  return id.split(ENDED, 1)[0];
}

/** Whether lines are to come as unnamed messages. Throws INVALID_INPUT, as `single` does. */
export function readUnnamed(query: StreamQuery): boolean {
  const text = single(query, 'unnamed')?.toLowerCase() ?? 'false';
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new KerutaError('INVALID_INPUT', `unnamed is ${JSON.stringify(text)}; it may be true or false.`);
}

/** What is given once; an empty value counts as none. */
function single(query: StreamQuery, name: string): string | undefined {
  const value = query[name];
  if (Array.isArray(value)) throw new KerutaError('INVALID_INPUT', `${name} may be given once.`);
  return value === '' ? undefined : value;
}

/** In no cursor. */
const ENDED = '~';
