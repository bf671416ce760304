/**
 * A place in a task's log as text: the store's epoch and a line number, base64url of `epoch.line`. Whoever holds one
 * outside the relay treats it as opaque. Line 0 is the place before everything.
 *
 * A place in a merged stream is the store's epoch and a position, base64url of `epoch.pposition`: the next line to come
 * is the first one at that position or behind it.
 */
export interface Cursor {
  epoch: string;
  line: number;
}

/** A function that writes cursors of one epoch; what the epoch contributes is encoded once. */
export function cursorWriter(epoch: string): (line: number) => string {
  // A multiple of three bytes encodes on its own, so that a line's number can be encoded alone behind it.
  const whole = Buffer.from(`${epoch}.`);
  const aligned = whole.length - (whole.length % 3);
  const prefix = whole.toString('base64url', 0, aligned);
  const rest = whole.toString('latin1', aligned);
  return (line) => prefix + Buffer.from(`${rest}${line}`, 'latin1').toString('base64url');
}

export function encodeCursor(cursor: Cursor): string {
  return cursorWriter(cursor.epoch)(cursor.line);
}

/** The cursor that `text` is, or undefined if it is none. Whether its epoch is the right one is for the caller. */
export function decodeCursor(text: string): Cursor | undefined {
  if (text.length > MAX_CURSOR_CHARACTERS || !/^[\w-]+$/.test(text)) return undefined;
  const decoded = Buffer.from(text, 'base64url').toString();
  const match = /^(.+)\.(\d{1,16})$/.exec(decoded);
  if (match === null) return undefined;
  const line = Number(match[2]);
  return Number.isSafeInteger(line) ? { epoch: match[1], line } : undefined;
}

export interface PositionCursor {
  epoch: string;
  position: number;
}

/** As `cursorWriter`, for positions. */
export function positionWriter(epoch: string): (position: number) => string {
  const prefix = `${epoch}.p`;
  return (position) => Buffer.from(prefix + String(position), 'latin1').toString('base64url');
}

/** The cursor of a merged stream that `text` is, or undefined if it is none. */
export function decodePosition(text: string): PositionCursor | undefined {
  if (text.length > MAX_CURSOR_CHARACTERS || !/^[\w-]+$/.test(text)) return undefined;
  const match = /^(.+)\.p(\d{1,16})$/.exec(Buffer.from(text, 'base64url').toString());
  if (match === null) return undefined;
  const position = Number(match[2]);
  return Number.isSafeInteger(position) ? { epoch: match[1], position } : undefined;
}

/** Far above any that we write. */
const MAX_CURSOR_CHARACTERS = 256;
