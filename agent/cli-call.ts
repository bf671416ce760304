import type { Command } from 'commander';
import { resolveAgent } from '../shared/options/agent-config.ts';
import { agentOptions, type AgentConfig } from '../shared/options/agent-options.ts';
import { readConfigFile } from '../shared/options/file.ts';
import { addFlags, givenFlags, type Wanted } from '../shared/options/flags.ts';
import type { Settings } from '../shared/options/resolve.ts';
import { surroundings } from '../shared/options/surroundings.ts';
import type { LineFilter } from './line-filter.ts';

/** One call of the agent: its arguments, and how it ends. */
export class Call {
  /** The subcommand. */
  readonly name: string | undefined;
  /** The arguments that are ours. */
  readonly own: string[];
  /** What `execute` runs: all behind the first `--`, untouched. */
  readonly behind: string[];
  exitCode = 0;
  verbose = false;
  /** What the configuration says of lines, once it is loaded. */
  filter: LineFilter | undefined;

  constructor(args: string[]) {
    const dashes = args[0] === 'execute' ? args.indexOf('--') : -1;
    this.name = args[0];
    this.own = dashes === -1 ? args : args.slice(0, dashes);
    this.behind = dashes === -1 ? [] : args.slice(dashes + 1);
  }

  /** The configuration from flags, environment and file. Rejects with a UsageError. */
  async load(command: Command): Promise<Settings<AgentConfig>> {
    const { config: path } = command.opts<{ config?: string }>();
    const settings = resolveAgent({
      flags: givenFlags(command, agentOptions),
      env: process.env,
      file: await readConfigFile(path, process.env),
      surroundings: surroundings(),
    });
    this.verbose = settings.config.verbose;
    this.filter = await lineFilter(settings);
    return settings;
  }
}

/** The expressions are loaded for those only who use them. */
async function lineFilter(settings: Settings<AgentConfig>): Promise<LineFilter | undefined> {
  const { excludePatterns, includePatterns } = settings.config;
  if (excludePatterns.length + includePatterns.length === 0) return undefined;
  const { compileFilter } = await import('./line-filter.ts');
  return compileFilter(settings);
}

/** Flags of a command that configures itself; `wanted` are all if absent. */
export function addAgentFlags(command: Command, wanted?: Wanted<typeof agentOptions>): Command {
  addFlags(command, agentOptions, wanted);
  return command.option(
    '--config <FILE>',
    'the configuration file (default: keruta.config.yaml if there is one, KERUTA_CONFIG)',
  );
}

/** Where the relay is. */
export const RELAY_FLAGS = ['websocketUrls', 'apiUrl'] as const;
