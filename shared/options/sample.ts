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
  const agent = sections(agentOptions, 'The agent');
  const relay = sections(relayOptions, 'The relay');
  return [HEAD, ...agent, ...relay].join('\n');
}

function sections(table: Table, title: string): string[] {
  const lines = [`# ${'─'.repeat(6)} ${title} ${'─'.repeat(6)}`, ''];
  let open: string[] = [];
  for (const row of Object.values(table)) {
    if (row.key === undefined) continue;
    const path = row.key.split('.');
    const folders = path.slice(0, -1);
    for (const [depth, folder] of folders.entries()) {
      if (open.slice(0, depth + 1).join('.') === folders.slice(0, depth + 1).join('.')) continue;
      lines.push(`${indent(depth)}${folder}:`);
    }
    open = folders;
    lines.push(...entry(row, path.at(-1) ?? '', indent(folders.length)), '');
  }
  return lines;
}

function entry(row: Row, key: string, before: string): string[] {
  const names = [row.flag, ...envNames(row)].filter((name) => name !== undefined).join(', ');
  const others = keysOf(row)
    .slice(1)
    .map(({ name }) => `Also ${name}.`);
  const words = row.flagValue === undefined ? defaultInWords(row) : '';
  // A default that the line below shows need not be said.
  const said = words !== '' && row.defaultText !== undefined ? `Default: ${row.defaultText}.` : '';
  const values =
    /^[\w-]+(\|[\w-]+)+$/.test(row.kind.placeholder) && row.flagValue === undefined && typeof row.default !== 'boolean'
      ? `One of ${row.kind.placeholder}.`
      : '';
  const comment = [`${row.help}.`, values, said, ...others, names === '' ? '' : `[${names}]`].filter(
    (part) => part !== '',
  );
  const wrapped = wrap(comment.join(' '), WIDTH - before.length - 2).map((line) => `${before}# ${line}`);
  return [...wrapped, `${before}#${key}: ${yamlOf(row)}`];
}

/** The default, or an example. */
function yamlOf(row: Row): string {
  const { kind } = row;
  const value: unknown = row.default;
  const plain = value !== undefined && typeof value !== 'function' && typeof value !== 'object';
  if (plain) return kind.print(value);
  if (Array.isArray(value)) return `['${kind.example}']`;
  if (typeof value === 'object' && value !== null) return `{ ${kind.example.replace('=', ': ')} }`;
  return kind.example;
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

function indent(depth: number): string {
  return '  '.repeat(depth);
}
