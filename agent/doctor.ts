import type { AgentConfig } from '../shared/options/agent-options.ts';
import type { Settings } from '../shared/options/resolve.ts';
import { good, printChecks, warning, type Check } from './doctor-check.ts';
import { checkRelay } from './doctor-relay.ts';
import { checkSpool } from './doctor-spool.ts';

/** What `keruta-agent doctor` looks at, in the order in which a log travels. Nothing is sent or kept. */
export async function examine({ config, origins }: Settings<AgentConfig>, env: NodeJS.ProcessEnv): Promise<Check[]> {
  const checks = [checkNode(), checkConfig(origins), ...checkSpool(config)];
  if (!config.logStreamingEnabled) {
    checks.push(warning('relay', 'log streaming is switched off', 'KERUTA_LOG_STREAMING_ENABLED=true switches it on'));
    return checks;
  }
  for (const url of config.websocketUrls) checks.push(...(await checkRelay(config, url, env)));
  return checks;
}

/** Prints the checks; answers the exit code: 1 if something is bad. */
export function reportChecks(checks: readonly Check[], { json = false }: { json?: boolean }): number {
  process.stdout.write(json ? `${JSON.stringify(checks, undefined, 2)}\n` : printChecks(checks));
  return checks.some(({ state }) => state === 'bad') ? 1 : 0;
}

function checkNode(): Check {
  return good('node', `Node.js ${process.versions.node} on ${process.platform} ${process.arch}`);
}

function checkConfig(origins: Settings<AgentConfig>['origins']): Check {
  const set = Object.values(origins).filter(([origin]) => origin.from !== 'default' && origin.from !== 'derived');
  const places = new Set(
    set.map(([{ from, name }]) => (from === 'file' ? name.replace(/^.*\((.*), line \d+\)$/, '$1') : from)),
  );
  const count = set.length === 1 ? '1 option is' : `${set.length} options are`;
  const found = set.length === 0 ? 'all options have their defaults' : `${count} set, by ${[...places].join(', ')}`;
  return good('config', found);
}
