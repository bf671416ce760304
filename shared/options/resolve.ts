import { UsageError } from './usage-error.ts';
import { ValueError, type Alias, type Raw, type Resolved, type Row, type Surroundings, type Table } from './option.ts';

/** What was given, by origin. */
export interface Given {
  /** By property name. */
  flags: Record<string, Raw | undefined>;
  env: Record<string, string | undefined>;
  file?: FileValues;
  surroundings: Surroundings;
}

/** The values of a configuration file by their keys, `section.key`. */
export type FileValues = ReadonlyMap<string, FileValue>;

export interface FileValue {
  raw: Raw;
  /** Where it stands: `keruta.config.yaml, line 12`. */
  place: string;
}

/** Where a value came from, as `config` shows it and errors name it. */
export interface Origin {
  from: 'flag' | 'environment' | 'file' | 'default' | 'derived';
  /** `--grace`, `KERUTA_GRACE`, `agent.grace (keruta.config.yaml, line 12)`; empty for a default. */
  name: string;
  /** The option's own name, if the value was given under another one. */
  meaning?: string;
}

export interface Settings<Config> {
  config: Config;
  /** By property name. More than one if values of several origins were joined. */
  origins: Record<string, Origin[]>;
}

/**
 * The configuration: flag before environment before file before default. Throws a UsageError for a value that can't be
 * read, which names the option, where its value came from, the value unless it is secret, and an example.
 */
export function resolve<T extends Table>(table: T, given: Given): Settings<Resolved<T>> {
  const config: Record<string, unknown> = {};
  const origins: Record<string, Origin[]> = {};
  for (const [property, row] of Object.entries(table)) {
    const { value, from } = resolveRow(property, row, given);
    if (value !== undefined) config[property] = value;
    origins[property] = from;
  }
  return { config: config as Resolved<T>, origins };
}

interface Found {
  raw: Raw;
  origin: Origin;
}

function resolveRow(property: string, row: Row, given: Given): { value: unknown; from: Origin[] } {
  const found = findRow(property, row, given);
  if (found.length > 0) {
    const adds = row.kind.merge !== undefined;
    const used = adds ? found : found.slice(0, 1);
    const values = used.map((one) => read(row, one));
    const from = used.map(({ origin }) => origin);
    return { value: adds ? joined(row, used, () => row.kind.merge?.(values) as unknown) : values[0], from };
  }
  const value: unknown = typeof row.default === 'function' ? callDefault(row.default, given) : row.default;
  return { value, from: [{ from: 'default', name: '' }] };
}

function callDefault(makeDefault: unknown, { surroundings }: Given): unknown {
  return (makeDefault as (surroundings: Surroundings) => unknown)(surroundings);
}

/** All that was given for a row, the most important first. */
function findRow(property: string, row: Row, { flags, env, file }: Given): Found[] {
  const found: Found[] = [];
  const add = (raw: Raw | undefined, origin: Origin): void => {
    if (raw !== undefined) found.push({ raw, origin });
  };
  add(flags[property], { from: 'flag', name: row.flag ?? property });
  for (const [at, { name, as }] of row.env.map(aliasOf).entries()) {
    // Templates of jobs and pods set variables that have no value to nothing.
    const text = env[name] === '' ? undefined : env[name];
    add(text === undefined ? undefined : as(text), { from: 'environment', name, ...meaning(row, at, row.env) });
  }
  const keys = keysOf(row);
  for (const [at, { name, as }] of keys.entries()) {
    const value = file?.get(name);
    if (value === undefined) continue;
    const raw = typeof value.raw === 'string' ? as(value.raw) : value.raw;
    add(raw, { from: 'file', name: `${name} (${value.place})`, ...meaning(row, at, keys) });
  }
  return found;
}

/** Of all names but the first: what they mean. Where values add up, each name is one of its own. */
function meaning(row: Row, at: number, names: readonly (string | Alias)[]): { meaning?: string } {
  return at === 0 || row.kind.merge !== undefined ? {} : { meaning: aliasOf(names[0]).name };
}

/** A row's places in the file, the plain one first. */
export function keysOf(row: Row): Alias[] {
  return [...(row.key === undefined ? [] : [aliasOf(row.key)]), ...(row.otherKeys ?? [])];
}

function aliasOf(entry: string | Alias): Alias {
  return typeof entry === 'string' ? { name: entry, as: (text) => text } : entry;
}

function read(row: Row, found: Found): unknown {
  return joined(row, [found], () => row.kind.read(found.raw) as unknown);
}

/** Runs `act`; a ValueError becomes a UsageError about these values. */
function joined(row: Row, found: Found[], act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const where = found.map(({ origin }) => origin.name).join(', ');
    const raw = found[0].raw;
    const value = row.secret === true || error.secret || found.length > 1 ? 'its value' : shown(raw);
    throw new UsageError(`${where}: ${value} ${error.message}; for example: ${row.kind.example}`);
  }
}

const MAX_SHOWN_CHARACTERS = 80;

function shown(raw: Raw): string {
  const json = JSON.stringify(Array.isArray(raw) ? raw.join(',') : raw);
  return json.length > MAX_SHOWN_CHARACTERS ? `${json.slice(0, MAX_SHOWN_CHARACTERS)}…` : json;
}
