import { formatDuration, parseDuration } from '../duration.ts';
import { formatSize, parseSize } from '../size.ts';
import { ValueError, type Kind, type Raw } from './option.ts';

/** Node's timers take no more, and fire at once if given more. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Bounds, both inclusive. */
interface Range {
  min?: number;
  max?: number;
}

/** ms. */
export function duration(example: string, { min = 0, max = MAX_TIMER_MS }: Range = {}): Kind<number> {
  return numeric({ name: 'duration', parse: parseDuration, print: formatDuration, example, min, max });
}

/** Bytes. */
export function size(example: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: Range = {}): Kind<number> {
  return numeric({ name: 'size', parse: parseSize, print: formatSize, example, min, max });
}

export function integer(example: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: Range = {}): Kind<number> {
  const parse = (text: string) => (/^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined);
  return numeric({ name: 'whole number', parse, print: String, example, min, max, placeholder: 'N' });
}

interface Numeric extends Required<Range> {
  name: string;
  parse: (text: string) => number | undefined;
  print: (value: number) => string;
  example: string;
  placeholder?: string;
}

function numeric({ name, parse, print, example, min, max, placeholder = name.toUpperCase() }: Numeric): Kind<number> {
  return {
    placeholder,
    example,
    print,
    read(raw) {
      const value = parse(single(raw));
      if (value === undefined) throw new ValueError(`is not a ${name}`);
      if (value < min) throw new ValueError(`is too small, ${print(min)} is the least`);
      if (value > max) throw new ValueError(`is too large, ${print(max)} is the most`);
      return value;
    },
  };
}

export function switched(): Kind<boolean> {
  const words = new Map([
    ...['true', 'yes', 'on', '1'].map((word) => [word, true] as const),
    ...['false', 'no', 'off', '0'].map((word) => [word, false] as const),
  ]);
  return {
    placeholder: 'true|false',
    example: 'true',
    print: String,
    read(raw) {
      const value = words.get(single(raw).trim().toLowerCase());
      if (value === undefined) throw new ValueError('is neither true nor false');
      return value;
    },
  };
}

/** One of some words, in any case. `others` are more words that mean one of them. */
export function choice<const T extends string>(choices: readonly T[], others: Record<string, T> = {}): Kind<T> {
  const words = new Map<string, T>(choices.map((one) => [one.toLowerCase(), one]));
  for (const [word, one] of Object.entries(others)) words.set(word.toLowerCase(), one);
  return {
    placeholder: choices.join('|'),
    example: choices[0],
    print: String,
    read(raw) {
      const value = words.get(single(raw).trim().toLowerCase());
      if (value === undefined) throw new ValueError(`is none of ${choices.join(', ')}`);
      return value;
    },
  };
}

/** What others call the levels. */
export const LEVEL_WORDS = { TRACE: 'DEBUG', WARNING: 'WARN', FATAL: 'ERROR' } as const;

/** Text that travels in messages and stands in lists: no control characters, of bounded length. `problem` finds more. */
export function text(
  placeholder: string,
  example: string,
  problem: (text: string) => string | undefined = () => undefined,
): Kind<string> {
  return {
    placeholder,
    example,
    print: String,
    read(raw) {
      const value = single(raw);
      const found = problem(value) ?? textProblem(value);
      if (found !== undefined) throw new ValueError(found);
      return value;
    },
  };
}

/** What the link lets through for names and labels. */
const MAX_TEXT_CHARACTERS = 1024;

function textProblem(value: string): string | undefined {
  if (value === '') return 'is empty';
  if (value.length > MAX_TEXT_CHARACTERS) return `has ${value.length} characters; ${MAX_TEXT_CHARACTERS} are allowed`;
  return /[\u0000-\u001f\u007f]/.test(value) ? 'has control characters' : undefined;
}

export function path(example: string): Kind<string> {
  return text('PATH', example, (value) => {
    return /^~(\/|$)/.test(value) ? 'begins with ~, which only a shell resolves: write the whole path' : undefined;
  });
}

/** A token or key for an HTTP header. What surrounds it, as the newline at the end of a secret's file, is dropped. */
export function credential(): Kind<string> {
  return {
    placeholder: 'TOKEN',
    example: '8f3c27a1b9',
    print: String,
    read(raw) {
      const value = single(raw).trim();
      if (value === '') throw new ValueError('is empty');
      if (!/^[\x21-\x7e]+$/.test(value)) throw new ValueError('has characters that no HTTP header may hold');
      return value;
    },
  };
}

/** Something to look for in output: any text but none. */
export function pattern(placeholder: string, example: string): Kind<string> {
  return {
    placeholder,
    example,
    print: String,
    read(raw) {
      const value = single(raw);
      if (value === '') throw new ValueError('is empty');
      return value;
    },
  };
}

/** Several of a kind. In one text they are parted by `separator`; flags and lists of a file give one each. */
export function list<T>(kind: Kind<T>, separator: ',' | '\n'): Kind<T[]> {
  return {
    placeholder: kind.placeholder,
    example: kind.example,
    print: (values) => values.map((value) => kind.print(value)).join(separator),
    read(raw) {
      if (typeof raw === 'string') raw = raw.split(separator).filter((one) => one.trim() !== '');
      if (!Array.isArray(raw)) throw new ValueError('is not a list');
      return raw.map((one) => kind.read(one));
    },
  };
}

/** What the link lets through. */
const MAX_LABELS = 64;

/** `k=v,k2=v2` in one text, one `k=v` a flag, a mapping in a file. They add up; of equal names the stronger counts. */
export function labels(): Kind<Record<string, string>> {
  const read = (raw: Raw): Record<string, string> => {
    if (typeof raw === 'string') raw = raw.split(',').filter((one) => one.trim() !== '');
    const pairs = Array.isArray(raw) ? raw.map(pairOf) : Object.entries(raw);
    return bounded(pairs.map(([name, value]) => [name.trim(), value.trim()]));
  };
  return {
    placeholder: 'NAME=VALUE',
    example: 'team=web',
    print: (value) =>
      Object.entries(value)
        .map((pair) => pair.join('='))
        .join(','),
    read,
    merge: (values) => bounded(values.toReversed().flatMap((one) => Object.entries(one))),
  };
}

function pairOf(textPair: string): [string, string] {
  const equals = textPair.indexOf('=');
  if (equals < 1) throw new ValueError('is not of the form name=value');
  return [textPair.slice(0, equals), textPair.slice(equals + 1)];
}

function bounded(pairs: [string, string][]): Record<string, string> {
  for (const [name, value] of pairs) {
    const problem = textProblem(name) ?? (value === '' ? undefined : textProblem(value));
    if (problem !== undefined) throw new ValueError(`has a name or value that ${problem}`);
  }
  const unique = Object.fromEntries(pairs);
  const count = Object.keys(unique).length;
  if (count > MAX_LABELS) throw new ValueError(`has ${count} names; ${MAX_LABELS} are allowed`);
  return unique;
}

/** The text of a value that is neither list nor mapping. */
function single(raw: Raw): string {
  if (typeof raw !== 'string') throw new ValueError('is a list or a mapping; it takes one value');
  return raw;
}
