import type { Command } from 'commander';
import type { agentOptions } from '../shared/options/agent-options.ts';
import type { FlagGroups } from '../shared/options/flags.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { addAgentFlags, RELAY_FLAGS, type Call } from './cli-call.ts';

/** As `timeout`, `env` and `docker run` say that it was they who failed, and not what they were to run. */
export const EXECUTE_FAILED = 125;

const HELP = `
Examples:
  keruta-agent execute --task-id build-42 --script ./build.sh -- --release
  keruta-agent execute --task-id build-42 --label team=web --timeout 1h -- make -j4 test

Exit code: the script's; 128+n if signal n ended it; 124 after --timeout; 126 or 127 if it can't be run; 2 if the
arguments or the configuration are wrong; 125 if the agent itself could not start it; with --strict, 120 if it
succeeded but its log is not complete.`;

/** As help groups them. */
const FLAGS = {
  'The task:': ['taskId', 'taskName', 'pipelineId', 'labels', 'workerId'],
  'The script:': ['workDir', 'timeoutMs', 'graceMs'],
  'The log:': ['mask', 'logLevel', 'tee', 'logFile', 'logStreamingEnabled'],
  'The relay:': [...RELAY_FLAGS, 'drainTimeoutMs', 'strict'],
  'The spool:': ['spoolDir', 'spoolLimitBytes', 'spoolMaxAgeMs', 'overflow'],
  'To look inside:': ['localPort', 'debug', 'verbose'],
} as const satisfies FlagGroups<typeof agentOptions>;

/** `execute`: runs a script and ships its log. */
export function addExecute(root: Command, call: Call): void {
  const command = root
    .command('execute')
    .summary('run a script and ship its log')
    .description('Runs a script or a command, ships its log, and exits with its exit code.')
    .usage('--task-id ID [options] (--script PATH [-- ARG…] | -- CMD [ARG…])')
    .argument('[words...]')
    .option('--script <PATH>', 'the script; what stands behind -- are its arguments')
    .option('--dry-run', 'say what would be run, where its log would go and what would be masked, and do nothing')
    .addHelpText('after', HELP)
    .configureHelp({ visibleArguments: () => [] });
  addAgentFlags(command, FLAGS).action(async (words: string[]) => {
    const { script, dryRun } = command.opts<{ script?: string; dryRun?: boolean }>();
    const settings = await call.load(command);
    const { config } = settings;
    const problem = executeProblem({ taskId: config.taskId, script, words, behind: call.behind });
    if (problem !== undefined) throw new UsageError(problem);
    if (dryRun === true) {
      const { planRun } = await import('./dry-run.ts');
      const { problems, text } = planRun(settings, { script, argv: call.behind }, process.env);
      process.stdout.write(text);
      if (problems.length > 0) throw new UsageError(problems.join('\n'));
      return;
    }
    // Nobody is left to tell when stderr is gone, and that is no reason to end the script.
    process.stderr.on('error', () => undefined);
    const { execute } = await import('./execute.ts');
    call.exitCode = await execute(config, { script, argv: call.behind }, call.filter);
  });
}

interface Asked {
  taskId: string | undefined;
  script: string | undefined;
  /** What stands before `--` and is no option. */
  words: string[];
  behind: string[];
}

function executeProblem({ taskId, script, words, behind }: Asked): string | undefined {
  if (script === '') return '--script: "" is no path; for example: --script ./build.sh';
  if (words.length > 0) {
    const right = script === undefined ? '' : `--script ${script} `;
    return `${JSON.stringify(words[0])} stands before --; write: keruta-agent execute … ${right}-- ${words.join(' ')}`;
  }
  if (script === undefined && behind.length === 0) return 'nothing to run: give --script PATH, or a command behind --';
  if (script === undefined && behind[0] === '') return 'the command behind -- is empty';
  if (taskId === undefined) return 'no task: give --task-id ID, or set KERUTA_TASK_ID';
  return undefined;
}
