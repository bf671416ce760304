import { MIN_SECRET_CHARS } from './forms.ts';

/**
 * The secrets in an environment, without duplicates: values of variables whose names say so, passwords in URLs and
 * connection strings, and, by the same rules, what JSON objects hold. Values of fewer than MIN_SECRET_CHARS characters
 * are left out, and those that are no secret whatever the name says: paths, ordinary words, one character repeated.
 */
export function secretsFromEnvironment(env: Readonly<Record<string, string | undefined>>): string[] {
  const secrets = new Set<string>();
  for (const [name, value] of Object.entries(env)) if (value !== undefined) collect(name, value, secrets, 0);
  return [...secrets].filter((secret) => secret.trim().length >= MIN_SECRET_CHARS);
}

/** Objects nested deeper than this are not credentials. */
const MAX_JSON_DEPTH = 4;

function collect(name: string, value: string, secrets: Set<string>, depth: number): void {
  if (isSecretName(name) && !isOrdinary(value)) secrets.add(value);
  else if (isKeyName(name) && !isOrdinary(value) && !WORDS.test(value)) secrets.add(value);
  for (const password of passwordsIn(value)) if (!isOrdinary(password)) secrets.add(password);
  if (depth === MAX_JSON_DEPTH) return;
  for (const [key, member] of jsonMembers(value)) collect(key, member, secrets, depth + 1);
}

function isSecretName(name: string): boolean {
  return name !== 'PWD' && name !== 'OLDPWD' && (ENDS_SECRET.test(name) || SECRET_WORD.test(name));
}

function isKeyName(name: string): boolean {
  return KEY_WORD.test(name);
}

/** Unmistakable also without a separator before them: PGPASSWORD, npm_config__authToken. A number may follow. */
const ENDS_SECRET =
  /(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|SECRET_KEY_BASE|CONNECTION_?STRING)S?(?:_?\d+)?$/i;
/** As whole words only: the end of `bypass` or `compat` means nothing. */
const SECRET_WORD = /(?:^|[_-])(?:PWD|PASS|SSHPASS|PAT|DSN)(?:_?\d+)?$/i;
/** Not every key is secret: what such a name holds may be the name of a column or a cache. */
const KEY_WORD = /(?:^|[_-])(?:KEYS?|AUTH)(?:_?\d+)?$/i;

/** Words of lower-case letters, with short numbers or versions behind them: `node-modules-v2`, `created_at`. */
const WORDS = /^[a-z]{1,20}(?:[-_./: ][a-z0-9]{1,8})*$/;

function isOrdinary(value: string): boolean {
  const text = value.trim();
  return PLACEHOLDERS.has(text.toLowerCase()) || isPath(text) || /^(.)\1*$/su.test(text);
}

const PLACEHOLDERS = new Set(
  'anonymous changeme credentials database default development disabled kubernetes localhost optional password production redacted required superuser testtest undefined username'.split(
    ' ',
  ),
);

/** A file's place. Some secrets begin with a slash too (AWS's do), but not with components that look written by hand. */
function isPath(text: string): boolean {
  if (!/^(?:~|\.{1,2}|[A-Za-z]:)?[/\\][\w.@%+ /\\-]*$/.test(text)) return false;
  return text
    .split(/[/\\]/)
    .every((part) => !(part.length >= 16 && /[a-z]/.test(part) && /[A-Z]/.test(part) && /\d/.test(part)));
}

/** Of URLs, as they are and decoded, and of `Password=…` and the like. */
function passwordsIn(value: string): string[] {
  const passwords: string[] = [];
  for (const [, password] of value.matchAll(/:\/\/[^\s/?#:"'<>\\]*:([^\s/?#"'<>\\]+)@/g)) {
    passwords.push(password);
    try {
      passwords.push(decodeURIComponent(password));
    } catch {
      // Not encoded, then: as it is it was taken already.
    }
  }
  const pairs = /\b(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^;\s"']+))/gi;
  for (const groups of value.matchAll(pairs)) passwords.push(...groups.slice(1).filter(Boolean));
  return passwords;
}

function jsonMembers(value: string): [string, string][] {
  if (!/^\s*\{/.test(value)) return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return []; // It only looked like JSON.
  }
  return Object.entries(parsed as object).map(([key, member]: [string, unknown]) => [
    key,
    typeof member === 'string' ? member : JSON.stringify(member),
  ]);
}
