import { choice, credential, duration, integer, list, path, size, text } from './kinds.ts';
import { option, type Resolved } from './option.ts';

const MIB = 1024 * 1024;

/** The relay's options. */
export const relayOptions = {
  host: option({
    kind: text('ADDRESS', '0.0.0.0'),
    help: 'The address to listen on; any other than loopback makes the relay reachable from the network',
    flag: '--host',
    env: ['KERUTA_RELAY_HOST'],
    key: 'relay.host',
    default: '127.0.0.1',
  }),
  port: option({
    kind: integer('8080', { max: 65_535 }),
    help: 'The port to listen on; 0 for any that is free',
    flag: '--port',
    // For a Service called keruta-relay, Kubernetes sets this to an URL like tcp://10.0.0.1:8080 in every pod.
    env: [{ name: 'KERUTA_RELAY_PORT', as: (port) => (/^(tcp|udp|sctp):\/\//.test(port) ? undefined : port) }],
    key: 'relay.port',
    default: 8080,
  }),
  dataDir: option({
    kind: path('/var/lib/keruta'),
    help: 'The folder of the store',
    flag: '--data',
    env: ['KERUTA_RELAY_DATA'],
    key: 'relay.data',
    default: './data',
  }),
  authTokens: option({
    kind: list(credential(), ','),
    help: 'A token that lets agents and readers in; without any, everybody is let in',
    flag: '--auth-token',
    repeatable: true,
    env: ['KERUTA_RELAY_AUTH_TOKENS'],
    key: 'relay.authTokens',
    default: [],
    defaultText: 'none',
    secret: true,
  }),
  lostAfterMs: option({
    kind: duration('5m', { min: 1000 }),
    help: 'A run whose agent was silent for so long is shown as lost, until it comes back',
    flag: '--lost-after',
    env: ['KERUTA_RELAY_LOST_AFTER'],
    key: 'relay.lostAfter',
    default: 60_000,
  }),
  minFreeBytes: option({
    kind: size('1GiB'),
    help: 'Take nothing in while less than this is free on the disk; agents keep their lines meanwhile',
    flag: '--min-free',
    env: ['KERUTA_RELAY_MIN_FREE'],
    key: 'relay.minFree',
    default: 256 * MIB,
  }),
  windowBytes: option({
    kind: size('128MiB', { min: MIB }),
    help: 'Memory for chunks that came and are not yet stored, over all agents',
    flag: '--window',
    env: ['KERUTA_RELAY_WINDOW'],
    key: 'relay.window',
    default: 64 * MIB,
  }),
  logLevel: option({
    kind: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    help: "What the relay's own log on stderr says",
    flag: '--log-level',
    env: ['KERUTA_RELAY_LOG_LEVEL'],
    key: 'relay.logLevel',
    default: 'info',
  }),
};

/** The relay's configuration: sizes in bytes, times in ms. */
export type RelayConfig = Resolved<typeof relayOptions>;
