import { nearest } from '../nearest.ts';
import { envNames } from './flags.ts';
import type { Row, Table } from './option.ts';
import type { Origin, Settings } from './resolve.ts';

/** An option as it counts now. */
export interface Effective {
  name: string;
  /** As the user would write it; undefined if it has none. Secrets are `(hidden)`. */
  value: string | undefined;
  origins: Origin[];
}

/** All options of a table with their values and where those came from. */
export function effective(table: Table, { config, origins }: Settings<object>): Effective[] {
  const values = config as Record<string, unknown>;
  return Object.entries(table).map(([property, row]) => {
    const name = row.key ?? row.flag?.replace(/^--/, '') ?? property;
    const value = values[property];
    const empty =
      value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
    return { name, value: empty ? undefined : shown(row, value), origins: origins[property] };
  });
}

function shown({ kind, secret }: Row, value: unknown): string {
  if (secret === true) return '(hidden)';
  return kind.show === undefined ? kind.print(value) : kind.show(value);
}

/** As a table for people. */
export function printEffective(rows: Effective[]): string {
  const cells = rows.map(({ name, value, origins }) => [name, value ?? '-', origins.map(originInWords).join(', ')]);
  const width = (column: number) => Math.min(60, Math.max(...cells.map((row) => row[column].length)));
  const [first, second] = [width(0), width(1)];
  return cells.map(([name, value, origin]) => `${name.padEnd(first)}  ${value.padEnd(second)}  ${origin}\n`).join('');
}

function originInWords({ from, name, meaning }: Origin): string {
  if (from === 'default') return 'default';
  if (from === 'derived') return `follows from ${name}`;
  const own = meaning === undefined ? '' : `, another name of ${meaning}`;
  return (from === 'file' ? name : `${from} ${name}`) + own;
}

/**
 * Variables that look like ours and are none, with the nearest that is: `KERUTA_GRAEC` and `KERUTA_GRACE`. Only for
 * `config` to point at; other programs' variables may well begin like ours, as those that Kubernetes makes of Services.
 */
export function misspeltVariables(
  tables: readonly Table[],
  env: Record<string, string | undefined>,
): { name: string; near: string }[] {
  const known = [...tables.flatMap((table) => Object.values(table).flatMap(envNames)), 'KERUTA_CONFIG'];
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith('KERUTA_') || known.includes(name)) return [];
    const near = nearest(
      name.slice('KERUTA_'.length),
      known.map((one) => one.slice('KERUTA_'.length)),
    );
    return near === undefined ? [] : [{ name, near: `KERUTA_${near}` }];
  });
}
