import type { Command } from 'commander';
import { readConfigFile } from '../shared/options/file.ts';
import { addFlags, givenFlags, type FlagGroups } from '../shared/options/flags.ts';
import { relayOptions, type RelayConfig } from '../shared/options/relay-options.ts';
import { resolve, type Settings } from '../shared/options/resolve.ts';
import { surroundings } from '../shared/options/surroundings.ts';

/** The program's name, as its messages say it. */
export const NAME = 'keruta-relay';

/** One call of the relay's command line: how it ends. */
export interface Call {
  exitCode: number;
}

/** All flags, as help groups them: what one needs first comes first. */
export const RELAY_FLAGS = {
  'Where it listens:': ['host', 'port', 'listen', 'grpcPort', 'trustProxy', 'corsOrigins'],
  'The store:': [
    'dataDir',
    'minFreeBytes',
    'retentionMaxAgeMs',
    'retentionMaxBytes',
    'retentionMaxTaskBytes',
    'retentionMaxTaskLines',
  ],
  'Who may come in:': ['authTokens', 'jwks', 'jwtIssuer', 'jwtAudience', 'insecureOpen', 'metricsOpen', 'debug'],
  'TLS:': ['tlsCert', 'tlsKey', 'tlsClientCa', 'tlsClientAuth', 'tlsClientScopes'],
  'How it works:': [
    'lostAfterMs',
    'sessionTimeoutMs',
    'maxConnections',
    'windowBytes',
    'compression',
    'drainDelayMs',
    'logLevel',
  ],
} as const satisfies FlagGroups<typeof relayOptions>;

/** Flags of a command that reads the configuration; `wanted` are all if absent. */
export function addRelayFlags(command: Command, wanted?: readonly (keyof RelayConfig)[]): Command {
  addFlags(command, relayOptions, wanted ?? RELAY_FLAGS);
  return command.option(
    '--config <FILE>',
    'the configuration file (default: keruta.config.yaml if there is one, KERUTA_CONFIG)',
  );
}

/** The configuration from flags, environment and file. Rejects with a UsageError. */
export async function loadConfig(command: Command): Promise<Settings<RelayConfig>> {
  const { config: path } = command.opts<{ config?: string }>();
  return resolve(relayOptions, {
    flags: givenFlags(command, relayOptions),
    env: process.env,
    file: await readConfigFile(path, process.env),
    surroundings: surroundings(),
  });
}
