import type { Command } from 'commander';
import { agentOptions } from '../shared/options/agent-options.ts';
import type { CatFlags } from './cat-printer.ts';
import { addAgentFlags, RELAY_FLAGS, type Call } from './cli-call.ts';

/** `flush`: sends what earlier runs left in the spool. */
export function addFlush(root: Command, call: Call): void {
  const command = root
    .command('flush')
    .summary('send what earlier runs left in the spool')
    .description('Sends what earlier runs left in the spool, of all tasks or of one.');
  addAgentFlags(command, ['spoolDir', 'spoolMaxAgeMs', 'taskId', 'drainTimeoutMs', ...RELAY_FLAGS, 'verbose']).action(
    async () => {
      const { config, origins } = await call.load(command);
      const { flush } = await import('./flush.ts');
      // Each spool knows where its run was sent; only what the user says counts more.
      const isDefault = origins.websocketUrls[0].from === 'default';
      call.exitCode = await flush({ ...config, websocketUrls: isDefault ? undefined : config.websocketUrls });
    },
  );
}

/** `cat`: prints the log in spool files. */
export function addCat(root: Command, call: Call): void {
  root
    .command('cat')
    .summary('print the log in a spool file')
    .description('Prints the log in spool files, without a relay.')
    .argument('<spool...>', 'files of the spool folder')
    .option('-t, --timestamps', "each line's time before it")
    .option('--json', 'one JSON object a line')
    .action(async (paths: string[], flags: CatFlags) => {
      const { cat } = await import('./cat.ts');
      call.exitCode = await cat(paths, flags);
    });
}

/** `config`: shows the options with their values and origins. */
export function addConfig(root: Command, call: Call): void {
  const command = root
    .command('config')
    .summary('show the configuration that counts')
    .description('Shows every option with its value and where that came from. Secrets are hidden.')
    .option('--json', 'as JSON');
  addAgentFlags(command).action(async () => {
    const settings = await call.load(command);
    const { showConfig } = await import('../shared/options/show-config.ts');
    showConfig(agentOptions, settings, command.opts<{ json?: boolean }>());
  });
}

/** `doctor`: looks whether everything is as a run needs it. */
export function addDoctor(root: Command, call: Call): void {
  const command = root
    .command('doctor')
    .summary('look whether a log would arrive')
    .description(
      'Looks whether everything is as a run needs it: configuration, spool, relay, clock, token. Sends nothing; exits with 1 if something is wrong.',
    )
    .option('--json', 'as JSON');
  addAgentFlags(command, ['taskId', 'spoolDir', 'spoolLimitBytes', ...RELAY_FLAGS, 'verbose']).action(async () => {
    const settings = await call.load(command);
    const { examine, reportChecks } = await import('./doctor.ts');
    call.exitCode = reportChecks(await examine(settings, process.env), command.opts<{ json?: boolean }>());
  });
}
