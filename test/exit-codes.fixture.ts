import { execute } from '../agent/execute.ts';
import { agentOptions } from '../shared/options/agent-options.ts';
import { resolve } from '../shared/options/resolve.ts';
import { surroundings } from '../shared/options/surroundings.ts';

/**
 * A program that runs `sh -c 'exit N'` for each N of its arguments through `execute`, and prints an array of the exit
 * codes that come out: 256 of them in one process cost a fraction of as many agents.
 */
const { config } = resolve(agentOptions, {
  flags: { taskId: 't', logStreamingEnabled: 'false', tee: 'false' },
  env: {},
  file: undefined,
  surroundings: surroundings(),
});

const exitCodes: number[] = [];
for (const wanted of process.argv.slice(2)) {
  exitCodes.push(await execute(config, { argv: ['sh', '-c', `exit ${wanted}`] }));
}
process.stdout.write(JSON.stringify(exitCodes), () => process.exit());
