import { agentOptions } from './agent-options.ts';
import { effective, misspeltVariables, printEffective } from './effective.ts';
import type { Table } from './option.ts';
import { relayOptions } from './relay-options.ts';
import type { Settings } from './resolve.ts';

/** Prints what `config` shows to stdout; variables that look misspelt are named on stderr. */
export function showConfig(table: Table, settings: Settings<object>, { json = false }: { json?: boolean }): void {
  const rows = effective(table, settings);
  // `config | head` has seen enough when `head` has.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.stdout.write(json ? `${JSON.stringify(rows, undefined, 2)}\n` : printEffective(rows));
  for (const { name, near } of misspeltVariables([agentOptions, relayOptions], process.env)) {
    process.stderr.write(`${name} is no variable of keruta's; did you mean ${near}?\n`);
  }
}
