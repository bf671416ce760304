import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { nearest } from '../shared/nearest.ts';
import { readConfigFile } from '../shared/options/file.ts';
import { addFlags, givenFlags } from '../shared/options/flags.ts';
import { relayOptions, type RelayConfig } from '../shared/options/relay-options.ts';
import { resolve, type Settings } from '../shared/options/resolve.ts';
import { surroundings } from '../shared/options/surroundings.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { runProgram, speakPlainly } from '../shared/program.ts';

/** The relay's command line. */
const NAME = 'keruta-relay';

const HELP = `
Examples:
  ${NAME}
  ${NAME} --port 0 --data /var/lib/keruta
  KERUTA_RELAY_AUTH_TOKENS=… ${NAME} --host 0.0.0.0

Everything can also be set in the environment (KERUTA_RELAY_PORT, …) or below 'relay:' in keruta.config.yaml;
'${NAME} config' shows what counts, and where it comes from.`;

const FAILED_BY_ITSELF = 1;

let exitCode = 0;

await runProgram({
  name: NAME,
  failureCode: 1,
  verbose: () => process.env.KERUTA_VERBOSE === 'true',
  run: async () => {
    const args = process.argv.slice(2);
    await program().parseAsync(args[0] === 'serve' ? args.slice(1) : args, { from: 'user' });
    return exitCode;
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
    .configureHelp({ visibleArguments: () => [] })
    .showHelpAfterError(`'${NAME} --help' shows how.`)
    .addHelpText('after', HELP);
  withConfig(root).action(async (words: string[]) => {
    if (words.length > 0) throw unknownCommand(words[0]);
    exitCode = await serve((await load(root)).config);
  });

  const config = root
    .command('config')
    .description('show every option with its value and where that came from; secrets are hidden')
    .option('--json', 'as JSON');
  withConfig(config).action(async () => {
    const { showConfig } = await import('../shared/options/show-config.ts');
    showConfig(relayOptions, await load(config), config.opts<{ json?: boolean }>());
  });
  return root;
}

function withConfig(command: Command): Command {
  addFlags(command, relayOptions);
  return command.option(
    '--config <FILE>',
    'the configuration file (default: keruta.config.yaml if there is one, KERUTA_CONFIG)',
  );
}

async function load(command: Command): Promise<Settings<RelayConfig>> {
  const { config: path } = command.opts<{ config?: string }>();
  return resolve(relayOptions, {
    flags: givenFlags(command, relayOptions),
    env: process.env,
    file: await readConfigFile(path, process.env),
    surroundings: surroundings(),
  });
}

/** Runs until a signal asks it to stop, or its store is beyond use. Answers the exit code. */
async function serve(config: RelayConfig): Promise<number> {
  const { startRelay } = await import('./relay.ts');
  const relay = await startRelay(config);
  if (!isLoopback(config.host) && config.authTokens.length === 0) {
    process.stderr.write(
      `${NAME}: warning: whoever reaches ${relay.url} can read and write all logs; set KERUTA_RELAY_AUTH_TOKENS, or listen on 127.0.0.1\n`,
    );
  }
  let asked = false;
  const stopped = new Promise<void>((resolveStopped, reject) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      // Asked twice, it does not wait for anybody. What was acknowledged is on the disk.
      if (asked) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
      asked = true;
      relay.stop().then(resolveStopped, reject);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    relay.stopped.then(resolveStopped, reject);
  });
  process.stdout.write(`${NAME} listens on ${relay.url}\n`);
  await stopped;
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a signal has set it meanwhile
  return asked ? 0 : FAILED_BY_ITSELF;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function unknownCommand(word: string): UsageError {
  const near = nearest(word, ['serve', 'config']);
  return new UsageError(
    `unknown command ${JSON.stringify(word)}${near === undefined ? '' : ` (did you mean ${near}?)`}`,
  );
}
