import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { agentOptions, type AgentConfig } from '../shared/options/agent-options.ts';
import { effective, printEffective } from '../shared/options/effective.ts';
import type { Settings } from '../shared/options/resolve.ts';
import { publicUrl } from './dialer.ts';
import type { Command } from './execute.ts';
import { knownSecrets } from './masking.ts';
import { readMask } from './redact/mask-option.ts';
import { redactText } from './redact/redactor.ts';
import { compileSecrets } from './redact/secrets.ts';
import { secretsFromEnvironment } from './redact/environment.ts';
import { scriptProgram, ScriptError } from './script.ts';

/** What stands in the way of a run, and what would happen. */
export interface Plan {
  /** Sentences; with any of them the script would not run. */
  problems: string[];
  /** For people, without secrets. */
  text: string;
}

/** What `execute` would do with this configuration. Looks only; nothing is started, made or sent. */
export function planRun(settings: Settings<AgentConfig>, command: Command, env: NodeJS.ProcessEnv): Plan {
  const { config } = settings;
  const problems: string[] = [];
  const given = config.mask.flatMap((option) => attempt(() => readMask(option), problems) ?? []);
  const secrets = knownSecrets(config, given, () => undefined);
  const words = command.script === undefined ? command.argv : [command.script, ...command.argv];
  const rows: [string, string][] = [
    ['runs', attempt(() => programLine(config, command, env), problems) ?? words.join(' ')],
    ['in', workDir(config, problems)],
    ['as task', config.taskId ?? '-'],
    ['sends to', destination(config)],
    ['keeps in', config.logStreamingEnabled ? config.spoolDir : '-'],
    ['masks', masks(env, given)],
  ];
  const changed = effective(agentOptions, settings).filter(({ origins }) => origins[0].from !== 'default');
  const lines = rows.map(([name, value]) => `${name.padEnd(9)}  ${value}\n`);
  const rest = changed.length === 0 ? 'all options have their defaults\n' : printEffective(changed);
  return { problems, text: redactText(`${lines.join('')}\n${rest}`, secrets) };
}

function programLine(config: AgentConfig, command: Command, env: NodeJS.ProcessEnv): string {
  const { file, args } =
    command.script === undefined
      ? { file: command.argv[0], args: command.argv.slice(1) }
      : scriptProgram(config.workDir === undefined ? command.script : resolve(command.script), command.argv);
  return [lookUp(file, config.workDir ?? '.', env.PATH ?? ''), ...args].join(' ');
}

/** Where the system finds a program. Throws a ScriptError if it does not. */
function lookUp(file: string, workDir: string, path: string): string {
  const places = file.includes('/') ? [resolve(workDir, file)] : path.split(':').map((folder) => join(folder, file));
  const found = places.find(isExecutable);
  if (found === undefined) throw new ScriptError(127, `${file}: there is no such program`);
  return file.includes('/') ? file : found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function workDir({ workDir: folder }: AgentConfig, problems: string[]): string {
  if (folder === undefined) return process.cwd();
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) problems.push(`--work-dir ${folder}: is no folder`);
  return resolve(folder);
}

function destination(config: AgentConfig): string {
  if (!config.logStreamingEnabled) return 'nowhere: log streaming is switched off';
  return `${config.websocketUrls.map(publicUrl).join(', else ')}, ${credential(config)}`;
}

/** What Credentials would show. */
function credential({ authToken, authTokenFile, apiKey, authType }: AgentConfig): string {
  if (authTokenFile !== undefined) return `with what ${authTokenFile} holds`;
  return `${(authToken ?? apiKey) === undefined ? 'without' : 'with'} ${authType === 'bearer' ? 'a token' : 'an API key'}`;
}

/** How many secrets are known, and where from. */
function masks(env: NodeJS.ProcessEnv, given: readonly string[]): string {
  const names = Object.entries(env)
    .filter(([name, value]) => secretsFromEnvironment({ [name]: value }).length > 0)
    .map(([name]) => name);
  const short = compileSecrets(given).tooShort.length;
  const parts = [
    names.length === 0 ? 'no secrets found in the environment' : `what the environment has in ${names.join(', ')}`,
    ...(given.length === 0 ? [] : [`${given.length} of --mask${short === 0 ? '' : `, ${short} of them too short`}`]),
    'tokens of known shapes',
  ];
  return parts.join('; ');
}

/** What `act` answers; if it throws, that is a problem. */
function attempt<T>(act: () => T, problems: string[]): T | undefined {
  try {
    return act();
  } catch (error) {
    problems.push((error as Error).message);
    return undefined;
  }
}
