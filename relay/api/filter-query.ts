import { KerutaError } from '../../shared/errors.ts';
import { LEVELS, SOURCES, type Level, type Source } from '../../shared/line.ts';
import { isUlid } from '../../shared/ulid.ts';
import type { FilterSpec } from '../filter.ts';

/** A filter as requests bring it: lists as arrays or separated by commas, times as text or numbers. */
export interface FilterInput {
  levels?: unknown;
  sources?: unknown;
  from?: unknown;
  to?: unknown;
  q?: unknown;
  regex?: unknown;
  runs?: unknown;
  workers?: unknown;
  /** Metadata by key: an object whose values are text, numbers or booleans. */
  meta?: unknown;
}

/** Reads them. Throws a KerutaError INVALID_INPUT that names what can't be read; `names` are the request's words. */
export function readFilter(input: FilterInput, names: Partial<Record<keyof FilterInput, string>> = {}): FilterSpec {
  const name = (key: keyof FilterInput): string => names[key] ?? key;
  const spec: FilterSpec = {
    levels: readList(input.levels, name('levels')).map((text) => readLevel(text, name('levels'))),
    sources: readList(input.sources, name('sources')).map((text) => readSource(text, name('sources'))),
    text: readTexts(input.q, name('q')).filter((text) => text !== ''),
    runs: readList(input.runs, name('runs')).map((text) => readRun(text, name('runs'))),
    workers: readTexts(input.workers, name('workers')).filter((text) => text !== ''),
  };
  const regex = readTexts(input.regex, name('regex'));
  if (regex.length > 1) throw new KerutaError('INVALID_INPUT', `${name('regex')} may be given once.`);
  if (regex.length === 1 && regex[0] !== '') spec.regex = regex[0];
  const meta = readMeta(input.meta, name('meta'));
  if (meta !== undefined) spec.meta = meta;
  if (isGiven(input.from)) spec.from = readTime(input.from, name('from'));
  if (isGiven(input.to)) spec.to = readTime(input.to, name('to'));
  return spec;
}

/** The `meta.key=value` of a query string, to be given as `FilterInput.meta`; undefined if there is none. */
export function metaOf(query: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  const entries = Object.entries(query).filter(([key]) => key.startsWith(META_PREFIX));
  if (entries.length === 0) return undefined;
  return Object.fromEntries(entries.map(([key, value]) => [key.slice(META_PREFIX.length), value]));
}

/** ms since 1970 of ISO 8601 text (without a zone: UTC), or of a number of ms. */
export function readTime(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  // A + that was not encoded comes out of a query as a space.
  const text = typeof value === 'string' ? value.replace(/ (?=\d\d:?\d\d$)/, '+') : '';
  const time = DAY.test(text)
    ? Date.parse(text)
    : MOMENT.test(text)
      ? Date.parse(ZONE.test(text) ? text : `${text}Z`)
      : NaN;
  if (Number.isNaN(time)) {
    // What is no text may be nested deeper than can be shown.
    const given = typeof value === 'string' ? JSON.stringify(value) : 'no text';
    throw new KerutaError(
      'INVALID_INPUT',
      `${name} is ${given}; it must be an ISO 8601 time such as 2026-01-02T03:04:05.678Z.`,
    );
  }
  return time;
}

/** Texts that are given once, several times, or separated by commas; empty ones don't count. */
export function readList(value: unknown, name: string): string[] {
  return readTexts(value, name)
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '');
}

function readTexts(value: unknown, name: string): string[] {
  if (value === undefined || value === null) return [];
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.length > MAX_VALUES) throw new KerutaError('INVALID_INPUT', `${name} has more than ${MAX_VALUES} values.`);
  return values.map((one) => {
    if (typeof one !== 'string') throw new KerutaError('INVALID_INPUT', `${name} must be text, or a list of texts.`);
    return one;
  });
}

function readMeta(value: unknown, name: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new KerutaError('INVALID_INPUT', `${name} must be an object such as {"request":"42"}.`);
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return undefined;
  if (entries.length > MAX_META_KEYS) {
    throw new KerutaError('INVALID_INPUT', `${name} has more than ${MAX_META_KEYS} keys.`);
  }
  return Object.fromEntries(
    entries.map(([key, one]) => [readMetaKey(key, name), readMetaValue(one, `${name}.${key}`)]),
  );
}

function readMetaKey(key: string, name: string): string {
  if (key === '')
    throw new KerutaError('INVALID_INPUT', `${name} has a value without a key, as in ${name}.request=42.`);
  if (key.length > MAX_META_KEY_CHARACTERS || key.split('.').length > MAX_META_KEY_PARTS) {
    throw new KerutaError(
      'INVALID_INPUT',
      `${name} has a key of more than ${MAX_META_KEY_CHARACTERS} characters or ${MAX_META_KEY_PARTS} parts.`,
    );
  }
  return key;
}

function readMetaValue(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const what = Array.isArray(value) ? 'may be given once' : 'must be text, a number, true or false';
  throw new KerutaError('INVALID_INPUT', `${name} ${what}.`);
}

function readLevel(text: string, name: string): Level {
  const upper = text.toUpperCase();
  const level = LEVELS.find((one) => one === (OTHER_LEVELS[upper] ?? upper));
  if (level === undefined) throw unknownWord(text, name, LEVELS);
  return level;
}

function readSource(text: string, name: string): Source {
  const source = SOURCES.find((one) => one === text.toLowerCase());
  if (source === undefined) throw unknownWord(text, name, SOURCES);
  return source;
}

function readRun(text: string, name: string): string {
  if (!isUlid(text)) throw new KerutaError('INVALID_INPUT', `${name} has ${JSON.stringify(text)}, which is no run id.`);
  return text;
}

function unknownWord(text: string, name: string, words: readonly string[]): KerutaError {
  return new KerutaError('INVALID_INPUT', `${name} has ${JSON.stringify(text)}; it may have ${words.join(', ')}.`);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** What other programs call them. */
const OTHER_LEVELS: Record<string, Level | undefined> = { WARNING: 'WARN', FATAL: 'ERROR', TRACE: 'DEBUG' };
const DAY = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/i;
const ZONE = /(Z|T.*[+-]\d\d:?\d\d)$/i;
/** Of one list: a person's filters are a handful. */
const MAX_VALUES = 100;
const META_PREFIX = 'meta.';
const MAX_META_KEYS = 20;
/** Each dot can be read in two ways, so their number is bounded. */
const MAX_META_KEY_PARTS = 8;
const MAX_META_KEY_CHARACTERS = 256;
