import { AUTHORITY, CLASSES } from './byte-class.ts';
import { LET_GO_BYTES, type Findings } from './findings.ts';

export const URL_MARK = Buffer.from('://');

/** As much of a URL's `user:password@host` is looked at; it bounds what has to be held. */
export const MAX_AUTHORITY_BYTES = 4096;

const COLON = 0x3a;
const SLASH = 0x2f;
const AT = 0x40;

/**
 * The password of the URL whose `://` stands at `start`: between the first `:` behind it and the last `@` before its
 * path. While the URL may go on, what stands before the password leaves nevertheless.
 */
export function findUrlPassword(text: Buffer, start: number, findings: Findings): void {
  const from = start + URL_MARK.length;
  const limit = Math.min(text.length, from + MAX_AUTHORITY_BYTES);
  let colon = -1;
  let at = -1;
  let end = from;
  for (; end < limit && (CLASSES[text[end]] & AUTHORITY) !== 0; end++) {
    if (text[end] === AT) at = end;
    else if (text[end] === COLON && colon === -1) colon = end;
  }
  const known = colon !== -1 && at > colon;
  if (known && at > colon + 1) findings.secret(colon + 1, at);
  if (end < text.length || end === from + MAX_AUTHORITY_BYTES) return;
  if (colon === -1) findings.undecided(start, text.length, text.length);
  // Another `@` would make the one that was seen, and all between them, part of the password.
  else if (known) findings.undecided(start, at, at);
  else findings.undecided(start, colon + 1, colon + 1 + LET_GO_BYTES);
}

/** Keeps a `:` or `:/` in mind that the text ends with; it need not be held back. */
export function findUrlMarkBegun(text: Buffer, findings: Findings): void {
  const { length } = text;
  if (text[length - 1] === COLON) findings.undecided(length - 1, length, length);
  else if (text[length - 1] === SLASH && text[length - 2] === COLON) findings.undecided(length - 2, length, length);
}
