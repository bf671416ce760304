import type { LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import { kindOf, LEVELS, SOURCES, type Level, type Source } from '../../shared/line.ts';
import { readTime } from '../api/filter-query.ts';

/** How an entry is read. */
export interface EntryRules {
  /** Of an entry that does not say, ms since 1970. */
  now: number;
  /** Whether `level` may be absent, which then is INFO. */
  levelOptional?: boolean;
  /** Names the entry in errors: `entry 3`. Absent: it is the only one. */
  name?: string;
}

/**
 * The line of a log entry `{level, message, source?, timestamp?, metadata?}`; other members are let pass. Throws a
 * KerutaError INVALID_LOG_FORMAT that names the entry and the member.
 */
export function readEntry(value: unknown, { now, levelOptional = false, name }: EntryRules): LineInput {
  const wrong = (problem: string): KerutaError =>
    new KerutaError(
      'INVALID_LOG_FORMAT',
      name === undefined ? `The entry: ${problem}.` : `${capital(name)}: ${problem}.`,
    );
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('it is no JSON object');
  const { level, message, source, timestamp, metadata } = value as Record<string, unknown>;
  if (typeof message !== 'string') throw wrong(message === undefined ? 'message is missing' : 'message is no text');
  const line: LineInput = {
    time: isAbsent(timestamp) ? now : entryTime(timestamp, wrong),
    kind: kindOf(entrySource(source, wrong), isAbsent(level) && levelOptional ? 'INFO' : entryLevel(level, wrong)),
    text: Buffer.from(message),
  };
  if (isAbsent(metadata)) return line;
  const json = entryMetadata(metadata, wrong);
  return json === '{}' ? line : { ...line, metadata: json };
}

/** The level that a word stands for, in any case; undefined if it is none. */
export function knownLevel(word: string): Level | undefined {
  const upper = word.toUpperCase();
  return LEVELS.find((one) => one === (OTHER_LEVELS.get(upper) ?? upper));
}

/** The source that a word names, in any case; undefined if it is none. */
export function knownSource(word: string): Source | undefined {
  return SOURCES.find((one) => one === word.toLowerCase());
}

/** The time that a sender wrote, ms since 1970; undefined if it is none, or lies outside of 1970 to 9999. */
export function knownTime(timestamp: unknown): number | undefined {
  try {
    const time = Math.floor(readTime(timestamp, 'timestamp'));
    return time >= 0 && time <= MAX_TIME ? time : undefined;
  } catch (error) {
    if (!(error instanceof KerutaError)) throw error;
    return undefined;
  }
}

type Wrong = (problem: string) => KerutaError;

function entryLevel(level: unknown, wrong: Wrong): Level {
  if (isAbsent(level)) throw wrong('level is missing');
  const known = typeof level === 'string' ? knownLevel(level) : undefined;
  if (known === undefined) throw wrong(`level is ${shown(level)}; it may be ${LEVELS.join(', ')}`);
  return known;
}

function entrySource(source: unknown, wrong: Wrong): Source {
  if (isAbsent(source)) return 'agent';
  const known = typeof source === 'string' ? knownSource(source) : undefined;
  if (known === undefined) throw wrong(`source is ${shown(source)}; it may be ${SOURCES.join(', ')}`);
  return known;
}

function entryTime(timestamp: unknown, wrong: Wrong): number {
  let time: number;
  try {
    time = Math.floor(readTime(timestamp, 'timestamp'));
  } catch (error) {
    if (!(error instanceof KerutaError)) throw error;
    throw wrong(`timestamp is ${shown(timestamp)}; it must be ISO 8601 text, or a number of ms since 1970`);
  }
  if (time >= 0 && time <= MAX_TIME) return time;
  throw wrong(`timestamp is ${shown(timestamp)}; it must lie between 1970 and 9999`);
}

function entryMetadata(metadata: unknown, wrong: Wrong): string {
  if (typeof metadata !== 'object' || Array.isArray(metadata)) throw wrong('metadata is no JSON object');
  let json: string;
  try {
    json = JSON.stringify(metadata);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrong('metadata is nested too deeply');
  }
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_METADATA_BYTES) throw wrong(`metadata has ${bytes} bytes; ${MAX_METADATA_BYTES} are allowed`);
  return json;
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

/** A value as an error shows it, cut so that nobody gets back all that was sent. */
function shown(value: unknown): string {
  if (typeof value === 'object') return 'no text';
  const text = JSON.stringify(value);
  return text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS)}…`;
}

function capital(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

/** What other programs call them. */
const OTHER_LEVELS = new Map<string, Level>([
  ['WARNING', 'WARN'],
  ['FATAL', 'ERROR'],
  ['TRACE', 'DEBUG'],
]);
const MAX_TIME = Date.parse('9999-12-31T23:59:59.999Z');
/** Of one line: some members to filter by, no second log. */
export const MAX_METADATA_BYTES = 16 * 1024;
const MAX_SHOWN_CHARACTERS = 64;
