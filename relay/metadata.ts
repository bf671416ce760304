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
    const metadata = parsed(json);
    return entries.every(([key, value]) => has(metadata, key, value));
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    // Senders' metadata is stored unread.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
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
