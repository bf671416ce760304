import { formatDuration } from '../duration.ts';
import { agentOptions, type AgentConfig } from './agent-options.ts';
import { resolve, type Given, type Origin, type Settings } from './resolve.ts';
import { apiUrlOf, websocketUrlOf } from './urls.ts';
import { UsageError } from './usage-error.ts';

/** The agent's configuration, with what follows from other options. Throws a UsageError. */
export function resolveAgent(given: Given): Settings<AgentConfig> {
  const { config, origins } = resolve(agentOptions, given);
  const isDefault = (property: keyof AgentConfig) => origins[property][0].from === 'default';
  const derive = (property: keyof AgentConfig, from: keyof AgentConfig): void => {
    origins[property] = [{ from: 'derived', name: nameOf(origins[from]) }];
  };

  if (isDefault('websocketUrls') && !isDefault('apiUrl')) {
    config.websocketUrls = [websocketUrlOf(config.apiUrl)];
    derive('websocketUrls', 'apiUrl');
  } else if (isDefault('apiUrl') && !isDefault('websocketUrls')) {
    config.apiUrl = apiUrlOf(config.websocketUrls[0]);
    derive('apiUrl', 'websocketUrls');
  }
  if ((config.clientCert === undefined) !== (config.clientKey === undefined)) {
    const given = config.clientCert === undefined ? 'clientKey' : 'clientCert';
    const missing = given === 'clientKey' ? 'websocket.security.clientCert' : 'websocket.security.clientKey';
    throw new UsageError(
      `${nameOf(origins[given])}: a certificate needs its key and a key its certificate; give ${missing} too`,
    );
  }
  if (
    isDefault('authType') &&
    config.apiKey !== undefined &&
    config.authToken === undefined &&
    config.authTokenFile === undefined
  ) {
    config.authType = 'api-key';
    derive('authType', 'apiKey');
  }
  if (config.reconnectMaxMs < config.reconnectMinMs) {
    if (!isDefault('reconnectMaxMs')) throw intervalsCrossed(config, origins);
    config.reconnectMaxMs = config.reconnectMinMs;
    derive('reconnectMaxMs', 'reconnectMinMs');
  }
  return { config, origins };
}

function intervalsCrossed(config: AgentConfig, origins: Record<string, Origin[]>): UsageError {
  const longest = `${nameOf(origins.reconnectMaxMs)}: ${formatDuration(config.reconnectMaxMs)}`;
  const first = `${formatDuration(config.reconnectMinMs)} (${nameOf(origins.reconnectMinMs) || 'the default'})`;
  return new UsageError(`${longest} is below the first wait before connecting again, ${first}`);
}

function nameOf(origins: Origin[]): string {
  return origins.map(({ name }) => name).join(', ');
}
