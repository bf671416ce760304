import { UsageError } from '../../shared/options/usage-error.ts';
import { hashOf, newApiKey, type ApiKey } from './api-key.ts';
import { KeyFile } from './key-file.ts';
import { MAX_KEYS, recordProblem, type KeyRecord } from './key-record.ts';
import type { Scope } from './principal.ts';

/** What a new key shall be good for, as the command line gives it. */
export interface KeyRequest {
  name: string;
  scopes: string[];
  tasks?: string[];
  labels?: Record<string, string>;
  /** Absent: until it is revoked. */
  lifeMs?: number;
}

/** A key as it is shown: without its hash, which is nobody's business. */
export interface ListedKey {
  id: string;
  name: string;
  scopes: Scope[];
  tasks?: string[];
  labels?: Record<string, string>;
  /** ISO 8601 */
  createdAt: string;
  expiresAt?: string;
}

/** Makes a key in a data folder; its text is kept nowhere. Rejects with a UsageError for a request that can't be met. */
export async function createKey(dataDir: string, request: KeyRequest, now: number): Promise<ApiKey> {
  const { name, scopes, tasks, labels, lifeMs } = request;
  const key = newApiKey();
  const record: KeyRecord = {
    id: key.id,
    name,
    hash: hashOf(key.text),
    scopes: [...new Set(scopes)] as Scope[],
    tasks,
    labels,
    createdAt: now,
    expiresAt: lifeMs === undefined ? undefined : now + lifeMs,
  };
  const problem = recordProblem(record);
  if (problem !== undefined) throw new UsageError(`such a key can't be made: ${problem}`);
  return await new KeyFile(dataDir).change((keys) => {
    // Names stand for keys in the log and in limits.
    if (keys.some((one) => one.name === name)) {
      throw new UsageError(`there is a key called ${JSON.stringify(name)} already; revoke it, or take another name`);
    }
    if (keys.length >= MAX_KEYS) throw new UsageError(`there are ${MAX_KEYS} keys, which is the most; revoke some`);
    return { keys: [...keys, record], answer: key };
  });
}

/** The keys of a data folder, the oldest first. */
export async function listKeys(dataDir: string): Promise<ListedKey[]> {
  const keys = (await new KeyFile(dataDir).read()) ?? [];
  return keys.map(({ id, name, scopes, tasks, labels, createdAt, expiresAt }) => ({
    id,
    name,
    scopes,
    tasks,
    labels,
    createdAt: new Date(createdAt).toISOString(),
    expiresAt: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
  }));
}

/** Takes keys back, by id or name: all of them, or none if one is not there, with a UsageError that names it. */
export async function revokeKeys(dataDir: string, wanted: readonly string[]): Promise<{ id: string; name: string }[]> {
  return await new KeyFile(dataDir).change((keys) => {
    const isWanted = ({ id, name }: KeyRecord) => wanted.includes(id) || wanted.includes(name);
    for (const one of wanted) {
      if (!keys.some(({ id, name }) => id === one || name === one)) {
        throw new UsageError(`there is no key ${JSON.stringify(one.slice(0, 40))}; 'keys list' shows all`);
      }
    }
    return { keys: keys.filter((key) => !isWanted(key)), answer: keys.filter(isWanted) };
  });
}

/** A list of keys for people. */
export function keyTable(keys: readonly ListedKey[], now: number): string {
  if (keys.length === 0) return 'There are no keys.\n';
  const rows = [
    ['ID', 'NAME', 'SCOPES', 'ONLY FOR', 'CREATED', 'EXPIRES'],
    ...keys.map(({ id, name, scopes, tasks, labels, createdAt, expiresAt }) => [
      id,
      name,
      scopes.join(','),
      [...(tasks ?? []), ...Object.entries(labels ?? {}).map((pair) => pair.join('='))].join(' ') || '-',
      createdAt.slice(0, 10),
      expiresAt === undefined ? '-' : Date.parse(expiresAt) <= now ? 'expired' : expiresAt.slice(0, 16),
    ]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
