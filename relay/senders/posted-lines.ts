import { MAX_LINES } from '../../shared/chunk.ts';
import type { LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import { kindOf, KIND_CR, KIND_NO_EOL } from '../../shared/line.ts';
import { readEntry } from './log-entry.ts';

/** What a body may be. */
export type BodyType = 'json' | 'ndjson' | 'text';

export interface PostedLines {
  lines: LineInput[];
  /** Whether the body was one entry, and no list. */
  single: boolean;
}

/**
 * The lines of a request's body: one JSON entry or an array of them, an entry a line (`ndjson`), or plain text, of which
 * each line is one of the log. All or nothing: throws a KerutaError that names the first entry that is wrong
 * (INVALID_LOG_FORMAT), or TOO_LARGE if there are more than fit into one chunk.
 */
export function readPosted(body: Buffer, type: BodyType, now: number): PostedLines {
  if (type === 'text') return { lines: textLines(body, now), single: false };
  if (type === 'ndjson') return { lines: ndjsonLines(body, now), single: false };
  const json = parse(body.toString(), 'The body');
  if (!Array.isArray(json)) return { lines: [readEntry(json, { now })], single: true };
  checkCount(json.length);
  return { lines: json.map((entry, index) => readEntry(entry, { now, name: `entry ${index}` })), single: false };
}

function ndjsonLines(body: Buffer, now: number): LineInput[] {
  const texts = body.toString().split('\n');
  const entries = texts
    .map((text, index) => ({ text, name: `line ${index + 1}` }))
    .filter(({ text }) => !BLANK.test(text));
  checkCount(entries.length);
  return entries.map(({ text, name }) => readEntry(parse(text, capitalised(name)), { now, name }));
}

/** Each line's bytes as they are, without the line end; what is behind the last one counts unless it is empty. */
function textLines(body: Buffer, now: number): LineInput[] {
  const plain = kindOf('stdout', 'INFO');
  const lines: LineInput[] = [];
  for (let at = 0; at < body.length;) {
    const found = body.indexOf(0x0a, at);
    const end = found === -1 ? body.length : found;
    const hasReturn = found !== -1 && end > at && body[end - 1] === 0x0d;
    lines.push({
      time: now,
      kind: plain | (hasReturn ? KIND_CR : 0) | (found === -1 ? KIND_NO_EOL : 0),
      text: body.subarray(at, hasReturn ? end - 1 : end),
    });
    checkCount(lines.length);
    at = end + 1;
  }
  return lines;
}

function checkCount(count: number): void {
  if (count > MAX_LINES) throw new KerutaError('TOO_LARGE', `More than ${MAX_LINES} lines came in one request.`);
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KerutaError('INVALID_LOG_FORMAT', `${what} is not JSON.`, { cause: error });
  }
}

function capitalised(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

const BLANK = /^\s*$/;
