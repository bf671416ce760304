import type { Command } from 'commander';
import { UsageError } from '../shared/options/usage-error.ts';
import { taskIdProblem } from '../shared/task-id.ts';
import { addAgentFlags, RELAY_FLAGS, type Call } from './cli-call.ts';
import { readLogsFlags, type RawLogsFlags } from './cli-flags.ts';

const HELP = `
Examples:
  keruta-agent logs build-42 --follow --exit-code
  keruta-agent logs build-42 --level WARN,ERROR --since 1h --timestamps
  keruta-agent logs build-42 --tail 100 --grep 'connection refused'`;

/** `logs`: shows a task's log as the relay has it. */
export function addLogs(root: Command, call: Call): void {
  const command = root
    .command('logs')
    .summary("show a task's log")
    .description("Shows a task's log as the relay has it, from its start or live. Reconnects by itself, without a gap.")
    .argument('<task>', 'the task id')
    .option('-f, --follow', 'go on until the task has ended')
    .option('--from <PLACE>', 'start, now, a line number or a cursor')
    .option('-n, --tail <N>', 'only the last N lines, and what follows')
    .option('--level <LEVEL>', 'only these: DEBUG, INFO, WARN, ERROR; repeatable, or a comma list', collect)
    .option('--source <SOURCE>', 'only these: stdout, stderr, agent; repeatable, or a comma list', collect)
    .option('--grep <TEXT>', 'only lines with this text')
    .option('--regex <PATTERN>', 'only lines that match')
    .option('--since <TIME>', 'only lines from then on: 2026-01-02T03:04:05Z, or a duration before now, as 10m')
    .option('--json', 'one JSON object a line')
    .option('-t, --timestamps', "each line's time before it")
    .option('--color', 'colour levels and sources, also when the output is no terminal')
    .option('--no-color', 'no colours')
    .option('--exit-code', "exit with the task's exit code")
    .addHelpText('after', HELP);
  addAgentFlags(command, [...RELAY_FLAGS, 'verbose']).action(async (task: string, options: RawLogsFlags) => {
    const problem = taskIdProblem(task);
    if (problem !== undefined) throw new UsageError(`the task id ${problem}; for example: build-42`);
    const flags = readLogsFlags(options);
    const { config } = await call.load(command);
    const { logs } = await import('./logs.ts');
    call.exitCode = await logs(config, task, flags);
  });
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}
