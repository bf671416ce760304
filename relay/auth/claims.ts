import { SCOPES, type Grant, type Scope } from './principal.ts';

/**
 * What a JWT's claims grant. Scopes are the words `ingest`, `read` and `admin` (or `keruta:read` and the like) in
 * `scope`, `scopes` and `permissions`, each a list or a text with blanks; words of others mean nothing here. `tasks` (a
 * pattern or a list of them) and `labels` (`{"team":"web"}`) bind all of them. Throws a ClaimError where a binding can't
 * be understood: it must not count as none.
 */
export function grantsOf(claims: Record<string, unknown>): Grant[] {
  const words = ['scope', 'scopes', 'permissions'].flatMap((name) => wordsOf(claims[name]));
  const scopes = SCOPES.filter((scope) => words.includes(scope) || words.includes(`${PREFIX}${scope}`));
  const tasks = tasksOf(claims.tasks);
  const labels = labelsOf(claims.labels);
  return scopes.map((scope: Scope) => ({ scope, tasks, labels }));
}

/** Who a JWT says it is from, short enough for a log line. */
export function subjectOf({ sub }: Record<string, unknown>): string {
  if (typeof sub !== 'string' || sub === '') return 'jwt';
  return `jwt:${sub.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, MAX_SUBJECT_CHARACTERS)}`;
}

/** A claim that must not be ignored is of the wrong form. */
export class ClaimError extends Error {
  override readonly name = 'ClaimError';
}

function wordsOf(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ');
  return Array.isArray(claim) ? claim.filter((one) => typeof one === 'string') : [];
}

function tasksOf(claim: unknown): string[] | undefined {
  if (claim === undefined) return undefined;
  const tasks: unknown[] = Array.isArray(claim) ? claim : [claim];
  if (!tasks.every((one) => typeof one === 'string')) throw new ClaimError('its claim "tasks" is no list of patterns');
  return tasks;
}

function labelsOf(claim: unknown): Record<string, string> | undefined {
  if (claim === undefined) return undefined;
  if (typeof claim === 'object' && claim !== null && !Array.isArray(claim)) {
    const entries = Object.entries(claim);
    if (entries.every((one): one is [string, string] => typeof one[1] === 'string')) return Object.fromEntries(entries);
  }
  throw new ClaimError('its claim "labels" is no object of texts');
}

const PREFIX = 'keruta:';
const MAX_SUBJECT_CHARACTERS = 128;
