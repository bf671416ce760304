import { choice, credential, duration, integer, list, path, size, switched, text } from './kinds.ts';
import { option, type Resolved } from './option.ts';
import { cidr, jwksPlace, jwtSecret, listenAddress, webOrigin } from './relay-kinds.ts';
import { relayLimitOptions } from './relay-limit-options.ts';
import { relayRetentionOptions } from './relay-retention-options.ts';

const MIB = 1024 * 1024;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const LOG_LEVEL_ALIASES = { warning: 'warn', critical: 'fatal', off: 'silent' } as const;

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
    env: ['KERUTA_RELAY_PORT', 'WEBSOCKET_PORT'].map((name) => ({ name, as: portAlone })),
    key: 'relay.port',
    default: 8080,
  }),
  listen: option({
    kind: list(listenAddress(), ','),
    help: 'Several addresses to listen on, instead of host and port: host:port, [::1]:port or unix:/path',
    flag: '--listen',
    repeatable: true,
    env: ['KERUTA_RELAY_LISTEN'],
    key: 'relay.listen',
    default: [],
    defaultText: 'host and port',
  }),
  grpcPort: option({
    kind: integer('50051', { max: 65_535 }),
    help: "The port on which Otto's workers and handlers are listened to with gRPC, at the relay's address; 0 for any that is free",
    flag: '--grpc-port',
    env: ['KERUTA_RELAY_GRPC_PORT'].map((name) => ({ name, as: portAlone })),
    key: 'relay.grpc.port',
    defaultText: 'no gRPC',
  }),
  insecureOpen: option({
    kind: switched(),
    help: 'Listen on the network without any authentication: whoever reaches the relay can read and write all logs',
    flag: '--insecure-open',
    flagValue: true,
    env: ['KERUTA_RELAY_INSECURE_OPEN'],
    key: 'relay.insecureOpen',
    default: false,
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
    help: 'A token that may do everything; tokens for less are made by keruta-relay keys and keruta-relay token',
    flag: '--auth-token',
    repeatable: true,
    env: ['KERUTA_RELAY_AUTH_TOKENS'],
    key: 'relay.authTokens',
    default: [],
    defaultText: 'none',
    secret: true,
  }),
  jwtSecret: option({
    kind: jwtSecret(),
    help: 'The secret of JSON Web Tokens that are signed with HS256, of 32 bytes at least',
    env: ['KERUTA_RELAY_JWT_SECRET', 'JWT_SECRET'],
    key: 'relay.auth.jwtSecret',
    defaultText: 'none',
    secret: true,
  }),
  jwks: option({
    kind: jwksPlace(),
    help: 'The public keys (JWKS) of whoever signs JSON Web Tokens with RS, PS, ES or EdDSA: a URL or a file',
    flag: '--jwks',
    env: ['KERUTA_RELAY_JWKS'],
    key: 'relay.auth.jwks',
    defaultText: 'none',
  }),
  jwtIssuer: option({
    kind: text('ISSUER', 'https://login.example.com/'),
    help: 'Who must have issued a JSON Web Token (iss)',
    flag: '--jwt-issuer',
    env: ['KERUTA_RELAY_JWT_ISSUER'],
    key: 'relay.auth.issuer',
    defaultText: 'anyone',
  }),
  jwtAudience: option({
    kind: list(text('AUDIENCE', 'keruta'), ','),
    help: 'For whom a JSON Web Token must be (aud); with several, one of them',
    flag: '--jwt-audience',
    repeatable: true,
    env: ['KERUTA_RELAY_JWT_AUDIENCE'],
    key: 'relay.auth.audience',
    default: [],
    defaultText: 'anyone',
  }),
  clockSkewMs: option({
    kind: duration('30s', { max: 10 * 60 * 1000 }),
    help: 'How far the clocks of those who issue JSON Web Tokens may be off',
    env: ['KERUTA_RELAY_CLOCK_SKEW'],
    key: 'relay.auth.clockSkew',
    default: 60_000,
  }),
  authFailuresPerMinute: option({
    kind: integer('10', { max: 1_000_000 }),
    help: 'Wrong tokens that one address may bring in a minute before it is refused for a while; 0 for no limit',
    env: ['KERUTA_RELAY_AUTH_FAILURES'],
    key: 'relay.auth.failuresPerMinute',
    default: 30,
  }),
  tlsCert: option({
    kind: path('/etc/keruta/tls.crt'),
    help: 'The certificate of the relay and those between it and its root, as PEM; with it the relay speaks TLS only',
    flag: '--tls-cert',
    env: ['KERUTA_RELAY_TLS_CERT'],
    key: 'relay.tls.cert',
    defaultText: 'none',
  }),
  tlsKey: option({
    kind: path('/etc/keruta/tls.key'),
    help: "The certificate's private key, as PEM",
    flag: '--tls-key',
    env: ['KERUTA_RELAY_TLS_KEY'],
    key: 'relay.tls.key',
    defaultText: 'none',
  }),
  tlsClientCa: option({
    kind: path('/etc/keruta/clients.crt'),
    help: 'Who signs the certificates of clients, as PEM; with it clients are asked for one',
    flag: '--tls-client-ca',
    env: ['KERUTA_RELAY_TLS_CLIENT_CA'],
    key: 'relay.tls.clientCa',
    defaultText: 'none',
  }),
  tlsClientAuth: option({
    kind: choice(['require', 'request']),
    help: 'Whether clients without such a certificate are refused, or may bring a token instead',
    flag: '--tls-client-auth',
    env: ['KERUTA_RELAY_TLS_CLIENT_AUTH'],
    key: 'relay.tls.clientAuth',
    default: 'require',
  }),
  tlsClientScopes: option({
    kind: list(choice(['ingest', 'read', 'admin']), ','),
    help: 'What a client certificate is good for by itself; with none of these, a token is wanted beside it',
    flag: '--tls-client-scope',
    repeatable: true,
    env: ['KERUTA_RELAY_TLS_CLIENT_SCOPES'],
    key: 'relay.tls.clientScopes',
    default: [],
    defaultText: 'nothing',
  }),
  corsOrigins: option({
    kind: list(webOrigin(), ','),
    help: "Web pages that may use the relay from a browser, beside its own; '*' for all",
    flag: '--cors-origin',
    repeatable: true,
    env: ['KERUTA_RELAY_CORS_ORIGINS'],
    key: 'relay.cors.origins',
    default: [],
    defaultText: 'none',
  }),
  trustProxy: option({
    kind: list(cidr(), ','),
    help: "Proxies whose X-Forwarded-For is believed: addresses, ranges, or 'unix' for those on a Unix socket",
    flag: '--trust-proxy',
    repeatable: true,
    env: ['KERUTA_RELAY_TRUST_PROXY'],
    key: 'relay.trustProxy',
    default: [],
    defaultText: 'none',
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
  postIdleMs: option({
    kind: duration('10m', { min: 1000 }),
    help: 'A task to which lines were posted over HTTP counts as ended when none came for so long, if nobody says how it ended',
    env: ['KERUTA_RELAY_POST_IDLE'],
    key: 'relay.postIdle',
    default: 60 * 60 * 1000,
  }),
  sessionTimeoutMs: option({
    kind: duration('30m', { min: 1000 }),
    help: 'Close a WebSocket on which nothing was said for so long, unless it watches a task or sends one',
    flag: '--session-timeout',
    env: ['KERUTA_RELAY_SESSION_TIMEOUT'],
    key: 'relay.sessionTimeout',
    otherKeys: ['relay.sessionTimeoutMinutes', 'websocket.sessionTimeoutMinutes'].map((name) => ({
      name,
      as: (minutes) => `${minutes}m`,
    })),
    defaultText: 'never',
  }),
  ...relayLimitOptions,
  ...relayRetentionOptions,
  drainDelayMs: option({
    kind: duration('10s', { max: 10 * 60 * 1000 }),
    help: 'How long a relay that is asked to stop goes on serving while /health/ready says 503 already',
    flag: '--drain-delay',
    env: ['KERUTA_RELAY_DRAIN_DELAY'],
    key: 'relay.drainDelay',
    default: 0,
  }),
  systemLog: option({
    kind: switched(),
    help: 'Keep what happens to the relay itself as lines of the task keruta-relay: starts, lost agents, a full disk',
    env: ['KERUTA_RELAY_SYSTEM_LOG'],
    key: 'relay.systemLog',
    default: true,
  }),
  metricsOpen: option({
    kind: switched(),
    help: 'Serve /metrics to everybody; else it takes a token that may read all tasks, once tokens are configured',
    flag: '--metrics-open',
    flagValue: true,
    env: ['KERUTA_RELAY_METRICS_OPEN'],
    key: 'relay.metrics.open',
    default: false,
  }),
  debug: option({
    kind: switched(),
    help: 'Serve /debug to admins: profiles, heap snapshots and garbage collection, which may stop the relay for a while',
    flag: '--debug',
    flagValue: true,
    env: ['KERUTA_RELAY_DEBUG'],
    key: 'relay.debug',
    default: false,
  }),
  compression: option({
    kind: switched(),
    help: 'Compress answers of JSON over HTTP for clients who take gzip',
    flag: '--no-compression',
    flagValue: false,
    flagHelp: 'never compress answers',
    env: ['KERUTA_RELAY_COMPRESSION'],
    key: 'relay.compression',
    otherKeys: ['relay.enableCompression', 'websocket.enableCompression'].map((name) => ({ name, as: asGiven })),
    default: true,
  }),
  logLevel: option({
    kind: choice(LOG_LEVELS, LOG_LEVEL_ALIASES),
    help: "What the relay's own log on stderr says",
    flag: '--log-level',
    env: ['KERUTA_RELAY_LOG_LEVEL', { name: 'LOG_LEVEL', as: knownLevel }],
    key: 'relay.logLevel',
    default: 'info',
  }),
};

/** The relay's configuration: sizes in bytes, times in ms. */
export type RelayConfig = Resolved<typeof relayOptions>;

/** Of another name for an option, whose values are the option's. */
function asGiven(text: string): string {
  return text;
}

/** For a Service called keruta-relay, Kubernetes sets KERUTA_RELAY_PORT to an URL like tcp://10.0.0.1:8080 in every pod. */
function portAlone(port: string): string | undefined {
  return /^(tcp|udp|sctp):\/\//.test(port) ? undefined : port;
}

/** Other programs read LOG_LEVEL, too: what only they understand is none of ours. */
function knownLevel(level: string): string | undefined {
  const known: readonly string[] = [...LOG_LEVELS, ...Object.keys(LOG_LEVEL_ALIASES)];
  return known.includes(level.trim().toLowerCase()) ? level : undefined;
}
