import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { runProgram, speakPlainly } from '../shared/program.ts';
import { Call } from './cli-call.ts';
import { addExecute, EXECUTE_FAILED } from './cli-execute.ts';
import { addLogs } from './cli-logs.ts';
import { addCat, addConfig, addDoctor, addFlush } from './cli-others.ts';

/** The agent's entry and command line: reads it and loads what it asks for; commander is all that is loaded before. */
const NAME = 'keruta-agent';

const HELP = `
Examples:
  ${NAME} execute --task-id build-42 --script ./build.sh
  ${NAME} execute --task-id build-42 -- make -j4 test
  ${NAME} logs build-42 --follow
  ${NAME} flush
  ${NAME} doctor

Everything can also be set in the environment (KERUTA_TASK_ID, KERUTA_WEBSOCKET_URL, …) or in keruta.config.yaml;
'${NAME} config' shows what counts, and where it comes from.`;

const COMMANDS = new Map([
  ['execute', addExecute],
  ['logs', addLogs],
  ['flush', addFlush],
  ['cat', addCat],
  ['config', addConfig],
  ['doctor', addDoctor],
]);

const call = new Call(process.argv.slice(2));

void runProgram({
  name: NAME,
  failureCode: call.name === 'execute' ? EXECUTE_FAILED : 1,
  verbose: () => call.verbose,
  run: async () => {
    await program().parseAsync(call.own, { from: 'user' });
    return call.exitCode;
  },
});

function program(): Command {
  const root = speakPlainly(new Command(NAME), NAME)
    .description("Runs a job's script and brings its log to a keruta relay, live and complete.")
    .version(packageJson.version)
    .enablePositionalOptions()
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText('after', HELP);
  // To describe all of their options takes longer than to read those of one.
  const asked = COMMANDS.get(call.name ?? '');
  for (const add of asked ? [asked] : COMMANDS.values()) add(root, call);
  for (const command of [root, ...root.commands]) {
    const path = command === root ? NAME : `${NAME} ${command.name()}`;
    command.showHelpAfterError(`'${path} --help' shows how.`);
  }
  return root;
}
