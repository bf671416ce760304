import { agentOptions } from './agent-options.ts';
import { defaultInWords, envNames } from './flags.ts';
import type { Row, Table } from './option.ts';
import { relayOptions } from './relay-options.ts';
import { keysOf } from './resolve.ts';

const HEAD = `# The configuration of keruta-agent and keruta-relay. Every key is here, each commented out with its default, or with
# an example where there is none. The programs look for this file where --config or KERUTA_CONFIG say, else for
# ./keruta.config.yaml. Stronger than the file are variables of the environment, and stronger than those are flags.
# \`keruta-agent config\` and \`keruta-relay config\` show what counts, and where it comes from.
#
# Durations: 250ms, 1s, 5m, 1h, 30d; a bare number is seconds. Sizes: 64KiB, 100MB; a bare number is bytes.
`;

const WIDTH = 118;

/** keruta.config.yaml: the options tables, printed. */
export function sampleConfig(): string {
  const program = (title: string, table: Table) => [
    `# ${'─'.repeat(6)} ${title} ${'─'.repeat(6)}`,
    '',
    ...printed(sectionsOf(table), 0),
  ];
  return [HEAD, ...program('The agent', agentOptions), ...program('The relay', relayOptions)].join('\n');
}

/** A section of the file: keys of its own, and sections within it. */
interface Section {
  rows: Map<string, Row>;
  sections: Map<string, Section>;
}

/** The rows by their place in the file, in whatever order the table has them: no section may be opened twice. */
function sectionsOf(table: Table): Section {
  const root: Section = { rows: new Map(), sections: new Map() };
  for (const row of Object.values(table)) {
    if (row.key === undefined) continue;
    const path = row.key.split('.');
    const leaf = path.pop() ?? '';
    let section = root;
    for (const name of path) {
      const inner = section.sections.get(name) ?? { rows: new Map(), sections: new Map() };
      section.sections.set(name, inner);
      section = inner;
    }
    section.rows.set(leaf, row);
  }
  return root;
}

function printed({ rows, sections }: Section, depth: number): string[] {
  const before = '  '.repeat(depth);
  const keys = [...rows].flatMap(([key, row]) => [...entry(row, key, before), '']);
  const inner = [...sections].flatMap(([name, section]) => [`${before}${name}:`, ...printed(section, depth + 1)]);
  return [...keys, ...inner];
}

function entry(row: Row, key: string, before: string): string[] {
  const names = [row.flag, ...envNames(row)].filter((name) => name !== undefined).join(', ');
  const others = keysOf(row)
    .slice(1)
    .map(({ name }) => name)
    .join(', ');
  const words = row.flagValue === undefined ? defaultInWords(row) : '';
  // A default that the line below shows need not be said.
  const said = words !== '' && row.defaultText !== undefined ? `Default: ${row.defaultText}.` : '';
  const values =
    /^[\w-]+(\|[\w-]+)+$/.test(row.kind.placeholder) && row.flagValue === undefined && typeof row.default !== 'boolean'
      ? `One of ${row.kind.placeholder}.`
      : '';
  const comment = [
    `${row.help}.`,
    values,
    said,
    others === '' ? '' : `Also ${others}.`,
    names === '' ? '' : `[${names}]`,
  ].filter((part) => part !== '');
  const wrapped = wrap(comment.join(' '), WIDTH - before.length - 2).map((line) => `${before}# ${line}`);
  return [...wrapped, `${before}#${key}: ${yamlOf(row)}`];
}

/** The default, or an example. */
function yamlOf({ kind, default: standard }: Row): string {
  const value: unknown = typeof standard === 'function' ? undefined : standard;
  if (Array.isArray(value)) {
    const items = value.length === 0 ? [kind.example] : value.map((one) => kind.print([one]));
    return `[${items.map(quoted).join(', ')}]`;
  }
  if (typeof value === 'object' && value !== null) return `{ ${kind.example.replace('=', ': ')} }`;
  return plainOrQuoted(value === undefined ? kind.example : kind.print(value));
}

function plainOrQuoted(text: string): string {
  // What YAML takes for text, or for a number that is read as it was written: no indicator, no `: `, no ` #`.
  return /^[\w./~-][\w./:~+@ -]*$/.test(text) && !/: |:$| $/.test(text) ? text : quoted(text);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
