import { KerutaError } from '../../../shared/errors.ts';
import { compileFilter, type Filter } from '../../filter.ts';
import type { PipelineQuery, TaskQuery, TaskStatus } from '../../store/store.ts';
import { metaOf, readFilter, readList, readTime } from '../filter-query.ts';

/** A query string, parsed: what is given twice is a list. */
export type Query = Record<string, string | string[] | undefined>;

export interface LogsQuery {
  filter: Filter;
  page: number;
  size: number;
  order: 'asc' | 'desc';
  /** So many lines around each that matches. */
  context: number;
  /** Places: page by cursor, behind or before it. */
  after?: string;
  before?: string;
}

/** Throws a KerutaError INVALID_INPUT that names what is wrong, as all here do. */
export function readLogsQuery(query: Query): LogsQuery {
  const order = one(query, 'order') ?? 'asc';
  if (order !== 'asc' && order !== 'desc') {
    throw new KerutaError('INVALID_INPUT', `order is ${JSON.stringify(order)}; it may be asc or desc.`);
  }
  const [after, before] = [one(query, 'after'), one(query, 'before')];
  if (after !== undefined && before !== undefined) {
    throw new KerutaError('INVALID_INPUT', 'Only one of after and before can be given.');
  }
  return {
    filter: readLogsFilter(query),
    page: readNumber(query, { name: 'page', fallback: 0, min: 0, max: MAX_PAGE }),
    size: readSize(query),
    order,
    context: readNumber(query, { name: 'context', fallback: 0, min: 0, max: MAX_CONTEXT }),
    ...(after !== undefined && { after }),
    ...(before !== undefined && { before }),
  };
}

export function readLogsFilter(query: Query): Filter {
  const { level, source, from, to, q, regex, run, worker } = query;
  const names = { levels: 'level', sources: 'source', runs: 'run', workers: 'worker' } as const;
  const input = { levels: level, sources: source, from, to, q, regex, runs: run, workers: worker, meta: metaOf(query) };
  return compileFilter(readFilter(input, names));
}

/** For what is said of all lines: who asks for some of them must not take it for these. */
export function refuseFilter(query: Query): void {
  const name = Object.keys(query).find((key) => FILTER_NAMES.has(key) || key.startsWith('meta.'));
  if (name === undefined) return;
  throw new KerutaError('INVALID_INPUT', `${name} can't be given here: logs/stats counts all lines, logs/count some.`);
}

/** The time up to which lines are to be deleted, ms since 1970. It must be said, as all lines are deleted otherwise. */
export function readBefore(query: Query): number {
  const before = one(query, 'before');
  if (before === undefined) {
    throw new KerutaError('INVALID_INPUT', 'before is missing: the time up to which lines are deleted, in ISO 8601.');
  }
  return readTime(before, 'before');
}

export interface ExportQuery {
  filter: Filter;
  format: ExportFormat;
  gzip: boolean;
}

/** `plain` is text of the messages alone. */
export type ExportFormat = 'json' | 'ndjson' | 'csv' | 'txt' | 'plain';

export function readExportQuery(query: Query): ExportQuery {
  const plain = readFlag(query, 'plain');
  const format = one(query, 'format')?.toLowerCase() ?? (plain ? 'txt' : 'json');
  if (!isFormat(format)) {
    throw new KerutaError('INVALID_INPUT', `format is ${JSON.stringify(format)}; it may be ${FORMATS.join(', ')}.`);
  }
  if (plain && format !== 'txt') {
    throw new KerutaError('INVALID_INPUT', `plain=true goes with format=txt, not with ${format}.`);
  }
  return { filter: readLogsFilter(query), format: plain ? 'plain' : format, gzip: readFlag(query, 'gzip') };
}

export function readTasksQuery(query: Query): TaskQuery {
  const status = one(query, 'status')?.toLowerCase();
  if (status !== undefined && !isStatus(status)) {
    throw new KerutaError('INVALID_INPUT', `status is ${JSON.stringify(status)}; it may be ${STATUSES.join(', ')}.`);
  }
  const read: TaskQuery = { limit: readSize(query) };
  if (status !== undefined) read.status = status;
  const labels = readLabels(query.label);
  if (labels !== undefined) read.labels = labels;
  const q = one(query, 'q');
  if (q !== undefined) read.q = q;
  const pipelineId = one(query, 'pipelineId');
  if (pipelineId !== undefined) read.pipelineId = pipelineId;
  const since = one(query, 'since');
  if (since !== undefined) read.since = readTime(since, 'since');
  const after = one(query, 'after');
  if (after !== undefined) read.before = readTaskCursor(after);
  return read;
}

/** The cursor behind a task in a list of them. */
export function taskCursor(task: string): string {
  return Buffer.from(`t.${task}`).toString('base64url');
}

function readTaskCursor(text: string): string {
  return readListCursor(text, { prefix: 't.', what: 'tasks' });
}

export function readPipelinesQuery(query: Query): PipelineQuery {
  const read: PipelineQuery = { limit: readSize(query) };
  const q = one(query, 'q');
  if (q !== undefined) read.q = q;
  const after = one(query, 'after');
  if (after !== undefined) read.before = readListCursor(after, { prefix: 'p.', what: 'pipelines' });
  return read;
}

/** The cursor behind a pipeline in a list of them. */
export function pipelineCursor(pipelineId: string): string {
  return Buffer.from(`p.${pipelineId}`).toString('base64url');
}

function readListCursor(text: string, { prefix, what }: { prefix: string; what: string }): string {
  const decoded = Buffer.from(text, 'base64url').toString();
  if (!decoded.startsWith(prefix)) throw new KerutaError('INVALID_CURSOR', `after is no cursor of a list of ${what}.`);
  return decoded.slice(prefix.length);
}

/** `key:value`, several times or separated by commas: all must match. */
function readLabels(value: unknown): Record<string, string> | undefined {
  const texts = readList(value, 'label');
  if (texts.length === 0) return undefined;
  return Object.fromEntries(
    texts.map((text) => {
      const colon = text.indexOf(':');
      if (colon < 1) throw new KerutaError('INVALID_INPUT', `label is ${JSON.stringify(text)}; it must be key:value.`);
      return [text.slice(0, colon), text.slice(colon + 1)];
    }),
  );
}

function isStatus(text: string): text is TaskStatus {
  return (STATUSES as readonly string[]).includes(text);
}

function readSize(query: Query): number {
  return readNumber(query, { name: 'size', fallback: 100, min: 1, max: MAX_SIZE });
}

function readNumber(
  query: Query,
  { name, fallback, min, max }: { name: string; fallback: number; min: number; max: number },
): number {
  const text = one(query, name);
  if (text === undefined) return fallback;
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new KerutaError(
    'INVALID_INPUT',
    `${name} is ${JSON.stringify(text)}; it must be a number from ${min} to ${max}.`,
  );
}

function readFlag(query: Query, name: string): boolean {
  const text = one(query, name)?.toLowerCase() ?? 'false';
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new KerutaError('INVALID_INPUT', `${name} is ${JSON.stringify(text)}; it may be true or false.`);
}

function isFormat(text: string): text is (typeof FORMATS)[number] {
  return (FORMATS as readonly string[]).includes(text);
}

/** What is given once; an empty value counts as none. */
function one(query: Query, name: string): string | undefined {
  const value = query[name];
  if (Array.isArray(value)) throw new KerutaError('INVALID_INPUT', `${name} may be given once.`);
  return value === '' ? undefined : value;
}

const STATUSES = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'lost'] as const satisfies TaskStatus[];
const FORMATS = ['json', 'csv', 'txt', 'ndjson'] as const satisfies ExportFormat[];
const FILTER_NAMES = new Set(['level', 'source', 'from', 'to', 'q', 'regex', 'run', 'worker']);
const MAX_SIZE = 1000;
const MAX_CONTEXT = 100;
/** Times MAX_SIZE still a number that is exact. */
const MAX_PAGE = 1e12;
