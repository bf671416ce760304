import { Option as Flag, type Command } from 'commander';
import type { Raw, Row, Table } from './option.ts';

/** Properties of a table whose flags a command has: under help's usual heading, or by the heading that help shows. */
export type Wanted<T> = readonly (keyof T & string)[] | FlagGroups<T>;
export type FlagGroups<T> = Readonly<Record<string, readonly (keyof T & string)[]>>;

/** Gives a command the flags of a table's rows, all or those that are `wanted`. Values stay text. */
export function addFlags<T extends Table>(command: Command, table: T, wanted: Wanted<T> = Object.keys(table)): void {
  const groups = isList(wanted) ? [['', wanted] as const] : Object.entries(wanted);
  for (const [heading, properties] of groups) {
    for (const property of properties) {
      const flag = flagOf(table[property]);
      if (flag) command.addOption(heading === '' ? flag : flag.helpGroup(heading));
    }
  }
}

function isList<T>(wanted: Wanted<T>): wanted is readonly (keyof T & string)[] {
  return Array.isArray(wanted);
}

/** What the user gave, by property name. */
export function givenFlags(command: Command, table: Table): Record<string, Raw | undefined> {
  const given: Record<string, Raw | undefined> = {};
  for (const [property, row] of Object.entries(table)) {
    const name = flagOf(row)?.attributeName();
    if (name === undefined || command.getOptionValueSource(name) !== 'cli') continue;
    given[property] = row.flagValue === undefined ? (command.getOptionValue(name) as Raw) : String(row.flagValue);
  }
  return given;
}

/** A default in words: `default: 10s`. Empty for a switch, whose flag says what it changes. */
export function defaultInWords(row: Row): string {
  if (row.flagValue !== undefined) return '';
  if (row.defaultText !== undefined) return `default: ${row.defaultText}`;
  return row.default === undefined ? '' : `default: ${row.kind.print(row.default)}`;
}

function flagOf(row: Row): Flag | undefined {
  if (row.flag === undefined) return undefined;
  const words = [defaultInWords(row), envNames(row)[0] ?? ''].filter((word) => word !== '');
  const help = `${row.flagHelp ?? row.help.charAt(0).toLowerCase() + row.help.slice(1)} (${words.join('; ')})`;
  const flag = new Flag(row.flagValue === undefined ? `${row.flag} <${row.kind.placeholder}>` : row.flag, help);
  if (row.repeatable === true) {
    flag.argParser<string[] | undefined>((value, previous) => [...(previous ?? []), value]);
  }
  return flag;
}

export function envNames(row: Row): string[] {
  return row.env.map((entry) => (typeof entry === 'string' ? entry : entry.name));
}
