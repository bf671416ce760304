import type { Lines } from '../shared/columns.ts';

/**
 * Whether a line's metadata has all of `wanted`: a value by its key, nested ones by keys joined with dots (`a.b`), each
 * compared as text: text itself, all else as its JSON. What is no JSON has nothing.
 */
export function metadataMatcher(wanted: Readonly<Record<string, string>>): (lines: Lines, line: number) => boolean {
  const entries = Object.entries(wanted);
  return (lines, line) => {
    const json = lines.metadata?.[line];
    if (json === undefined) return false;
    const metadata = parseMetadata(json);
    return entries.every(([key, value]) => has(metadata, key, value));
  };
}

/**
 * A line's metadata, or undefined if it is no JSON, or nested so deeply that it could be read, but not be written again:
 * senders' metadata is stored unread, and one line must not keep all others from their readers.
 */
export function parseMetadata(json: string): unknown {
  if (json.length > 2 * MAX_DEPTH && isDeep(json)) return undefined;
  try {
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Of a text that may be JSON. */
function isDeep(json: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (quoted) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) {
      quoted = true;
    } else if (code === BRACKET || code === BRACE) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === BRACKET_END || code === BRACE_END) depth--;
  }
  return false;
}

/** A dot may belong to a key: every way to read `key` counts. */
function has(metadata: unknown, key: string, value: string): boolean {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return false;
  const members = metadata as Record<string, unknown>;
  if (Object.hasOwn(members, key) && textOf(members[key]) === value) return true;
  for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', dot + 1)) {
    const first = key.slice(0, dot);
    if (Object.hasOwn(members, first) && has(members[first], key.slice(dot + 1), value)) return true;
  }
  return false;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Far above what anybody means, and far below what the stack holds. */
const MAX_DEPTH = 500;
const [QUOTE, BACKSLASH, BRACKET, BRACE, BRACKET_END, BRACE_END] = Buffer.from('"\\[{]}');
