import type { AgentConfig } from '../shared/options/agent-options.ts';
import type { LinkOptions } from './delivery.ts';
import type { DialOptions } from './dialer.ts';

/** What the configuration says of the way to the relays. */
export type DialConfig = Pick<AgentConfig, 'websocketTimeoutMs'> & {
  /** Absent: each spool knows where its run was sent. */
  websocketUrls?: readonly string[];
} & Partial<
    Pick<
      AgentConfig,
      | 'apiUrl'
      | 'apiTimeoutMs'
      | 'authToken'
      | 'authTokenFile'
      | 'apiKey'
      | 'authType'
      | 'certPath'
      | 'clientCert'
      | 'clientKey'
      | 'verifyCert'
      | 'httpFallback'
      | 'heartbeatIntervalMs'
    >
  >;

/** And of how it is gone again and again. */
export type LinkConfig = DialConfig & Pick<AgentConfig, 'reconnectMinMs' | 'reconnectMaxMs' | 'maxReconnectAttempts'>;

/** The same, as connections take it. `env` names proxies. */
export function dialOptions(config: DialConfig, env: NodeJS.ProcessEnv): DialOptions {
  const [first, ...others] = config.websocketUrls ?? [];
  return {
    authToken: config.authToken,
    authTokenFile: config.authTokenFile,
    apiKey: config.apiKey,
    authType: config.authType,
    verifyCert: config.verifyCert,
    certPath: config.certPath,
    clientCert: config.clientCert,
    clientKey: config.clientKey,
    httpFallback: config.httpFallback,
    apiTimeoutMs: config.apiTimeoutMs,
    // One REST address can belong to one relay only; those of several follow from where each is.
    ...(config.apiUrl !== undefined && others.length === 0 && { apiUrls: { [first]: config.apiUrl } }),
    connectTimeoutMs: config.websocketTimeoutMs,
    pingAfterMs: config.heartbeatIntervalMs,
    goneAfterMs: config.websocketTimeoutMs,
    env,
  };
}

/** And as uplinks take it. */
export function linkOptions(
  config: LinkConfig,
  env: NodeJS.ProcessEnv,
): Omit<LinkOptions, 'websocketUrls' | 'dialer' | 'onWarning'> {
  return {
    ...dialOptions(config, env),
    reconnectMinMs: config.reconnectMinMs,
    reconnectMaxMs: config.reconnectMaxMs,
    maxReconnectAttempts: config.maxReconnectAttempts,
    now: () => Date.now(),
  };
}
