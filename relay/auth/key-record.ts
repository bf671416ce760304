import * as z from 'zod';
import { SCOPES } from './principal.ts';

/** An API key as it is kept: what it is good for, and a hash of it. */
export type KeyRecord = z.infer<typeof recordShape>;

/** What a file of keys says. Throws an Error that names what is wrong with it, never a value in it. */
export function parseKeys(text: string): KeyRecord[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  const parsed = fileShape.safeParse(json);
  if (parsed.success) return parsed.data.keys;
  const [{ path, message }] = parsed.error.issues;
  throw new Error(`${path.join('.') || 'the whole'}: ${message}`);
}

export function printKeys(keys: readonly KeyRecord[]): string {
  return `${JSON.stringify({ version: VERSION, keys }, undefined, 2)}\n`;
}

/** What a new key may be made of: as in a record. Answers what is wrong with it. */
export function recordProblem(record: KeyRecord): string | undefined {
  const parsed = recordShape.safeParse(record);
  return parsed.success
    ? undefined
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)[0];
}

const VERSION = 1;
/** They are all in memory, and the file is written as a whole. */
export const MAX_KEYS = 10_000;
const MAX_NAME_CHARACTERS = 100;
const MAX_PATTERNS = 100;
const MAX_TEXT_CHARACTERS = 1024;

/** Of a Date. */
const MAX_TIME = 8.64e15;

const shortText = z.string().min(1).max(MAX_TEXT_CHARACTERS);

const recordShape = z.strictObject({
  id: z.string().regex(/^[0-9a-z]{10}$/, 'is no id of a key'),
  name: z
    .string()
    .max(MAX_NAME_CHARACTERS, `has more than ${MAX_NAME_CHARACTERS} characters`)
    .regex(/^[\p{L}\p{N}][\p{L}\p{N}._@-]*$/u, 'begins with a letter or digit and holds only those and . _ @ -'),
  /** SHA-256 of the key's text, as hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'is no SHA-256'),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
  tasks: z.array(shortText).max(MAX_PATTERNS).optional(),
  labels: z.record(shortText, z.string().max(MAX_TEXT_CHARACTERS)).optional(),
  /** ms since 1970 */
  createdAt: z.int().max(MAX_TIME),
  expiresAt: z.int().max(MAX_TIME, 'is beyond what a calendar holds').optional(),
});

const fileShape = z.strictObject({ version: z.literal(VERSION), keys: z.array(recordShape).max(MAX_KEYS) });
