import { relayOptions, type RelayConfig } from '../shared/options/relay-options.ts';
import { resolve } from '../shared/options/resolve.ts';

/** The configuration of a relay for a test: the defaults, any free port, no logs, the whole disk; and what is given. */
export function relayConfig(given: Partial<RelayConfig> & Pick<RelayConfig, 'dataDir'>): RelayConfig {
  const surroundings = { env: {}, hostname: '', temporary: '', uid: -1 };
  const { config } = resolve(relayOptions, { flags: {}, env: {}, surroundings });
  return { ...config, port: 0, minFreeBytes: 0, logLevel: 'silent', systemLog: false, ...given };
}
