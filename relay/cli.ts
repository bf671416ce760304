import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { nearest } from '../shared/nearest.ts';
import { relayOptions } from '../shared/options/relay-options.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { runProgram, speakPlainly } from '../shared/program.ts';
import { addRelayFlags, loadConfig, NAME, type Call } from './cli-call.ts';
import { addKeys } from './cli-keys.ts';
import { addStoreTools } from './cli-store.ts';
import { addToken } from './cli-token.ts';

/** The relay's command line. */
const HELP = `
Examples:
  ${NAME}
  ${NAME} --port 0 --data /var/lib/keruta
  KERUTA_RELAY_AUTH_TOKENS=… ${NAME} --host 0.0.0.0
  ${NAME} keys create --name ci --scope ingest --task 'build-*'
  KERUTA_RELAY_JWT_SECRET=… ${NAME} token --subject alice --scope read

Everything can also be set in the environment (KERUTA_RELAY_PORT, …) or below 'relay:' in keruta.config.yaml;
'${NAME} config' shows what counts, and where it comes from.`;

const call: Call = { exitCode: 0 };

await runProgram({
  name: NAME,
  failureCode: 1,
  verbose: () => process.env.KERUTA_VERBOSE === 'true',
  run: async () => {
    const args = process.argv.slice(2);
    await program().parseAsync(args[0] === 'serve' ? args.slice(1) : args, { from: 'user' });
    return call.exitCode;
  },
});

function program(): Command {
  const root = speakPlainly(new Command(NAME), NAME)
    .description(
      "Keeps the logs that agents send, and lets anyone read them. 'serve' is what it does if not told otherwise.",
    )
    .usage('[serve] [options]')
    .version(packageJson.version)
    .enablePositionalOptions()
    .argument('[words...]')
    .configureHelp({ visibleArguments: () => [], subcommandTerm: (command) => command.name() })
    .showHelpAfterError(`'${NAME} --help' shows how.`)
    .addHelpText('after', HELP);
  addRelayFlags(root).action(async (words: string[]) => {
    if (words.length > 0) throw unknownCommand(words[0], root);
    const { serve } = await import('./cli-serve.ts');
    call.exitCode = await serve(await loadConfig(root));
  });
  addConfig(root);
  addKeys(root, call);
  addToken(root, call);
  addStoreTools(root, call);
  return root;
}

/** `config`: shows the options with their values and origins. */
function addConfig(root: Command): void {
  const command = root
    .command('config')
    .summary('show every option with its value and where that came from')
    .description('Shows every option with its value and where that came from. Secrets are hidden.')
    .option('--json', 'as JSON');
  addRelayFlags(command).action(async () => {
    const { showConfig } = await import('../shared/options/show-config.ts');
    showConfig(relayOptions, await loadConfig(command), command.opts<{ json?: boolean }>());
  });
}

function unknownCommand(word: string, root: Command): UsageError {
  const near = nearest(word, ['serve', ...root.commands.map((command) => command.name())]);
  return new UsageError(
    `unknown command ${JSON.stringify(word)}${near === undefined ? '' : ` (did you mean ${near}?)`}`,
  );
}
