import { KerutaError } from '../../../shared/errors.ts';
import { LOG_TYPES, type LogType } from './shape.ts';

/** A query string, parsed: what is given twice is a list. */
export type Query = Record<string, string | string[] | undefined>;

/** What is given; of several, the first. An empty value counts as none. */
export function first(query: Query, name: string): string | undefined {
  const value = [query[name]].flat()[0];
  return value === '' ? undefined : value;
}

/** Where a stream shall begin, beyond Stratal's words: a cursor, `start` or `now`. */
export function askedPlace(query: Query): string | undefined {
  return first(query, 'cursor') ?? first(query, 'from');
}

export interface Paging {
  limit: number;
  offset: number;
}

/** What makes no sense counts as not given: Stratal's own rule. */
export function readPaging(query: Query): Paging {
  return {
    limit: readNumber(first(query, 'limit'), { min: 1, max: MAX_LIMIT }) ?? DEFAULT_LIMIT,
    offset: readNumber(first(query, 'offset'), { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? 0,
  };
}

/** Throws a KerutaError INVALID_INPUT for what is no type of logs. */
export function readType(text: string): LogType {
  const type = LOG_TYPES.find((one) => one === text);
  if (type === undefined)
    throw new KerutaError('INVALID_INPUT', "Invalid log type. Must be 'system', 'job', or 'task'");
  return type;
}

/** A UTC day, `YYYY-MM-DD`, as its first and last ms since 1970. Throws a KerutaError INVALID_INPUT for what is none. */
export function readDay(text: string): { from: number; to: number } {
  const from = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00.000Z`) : NaN;
  // Some days that are none are taken for ones of the next month.
  if (Number.isNaN(from) || !new Date(from).toISOString().startsWith(text))
    throw new KerutaError('INVALID_INPUT', `date is ${JSON.stringify(text)}; it must be a day, YYYY-MM-DD`);
  return { from, to: from + DAY_MS - 1 };
}

function readNumber(text: string | undefined, { min, max }: { min: number; max: number }): number | undefined {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : NaN;
  return number >= min && number <= max ? number : undefined;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const DAY_MS = 24 * 60 * 60 * 1000;
