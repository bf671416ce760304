import { integer, size } from './kinds.ts';
import { option } from './option.ts';

const MIB = 1024 * 1024;
const AN_ADDRESS = 'one client address (of IPv6, one /64)';

const MAX_LIMIT = 1_000_000_000_000;

/** What one client may take of a relay. Limits by client address do not apply to this machine; 0 is no limit. */
export const relayLimitOptions = {
  maxConnections: option({
    kind: integer('20000', { min: 1, max: 1_000_000 }),
    help: 'How many connections that last (WebSockets, event streams, Socket.IO, gRPC) may be open at once, over all clients; half as many more are left for other HTTP',
    flag: '--max-connections',
    env: ['KERUTA_RELAY_MAX_CONNECTIONS'],
    key: 'relay.maxConnections',
    otherKeys: [{ name: 'websocket.maxConnections', as: (text: string) => text }],
    default: 10_000,
  }),
  addressConnections: limit(
    'CONNECTIONS',
    'connections',
    { default: 1000 },
    `Connections that last that ${AN_ADDRESS} may have open at once`,
  ),
  addressConnectsPerMinute: limit(
    'CONNECTS_PER_MINUTE',
    'connectsPerMinute',
    { default: 100 },
    `Connections that last that ${AN_ADDRESS} may open in a minute; agents count with each new run, not when they come back`,
  ),
  addressRequestsPerMinute: limit(
    'REQUESTS_PER_MINUTE',
    'requestsPerMinute',
    { default: 1000 },
    `HTTP requests that ${AN_ADDRESS} may make in a minute`,
  ),
  addressLinesPerSecond: limit(
    'LINES_PER_SECOND',
    'linesPerSecond',
    { default: 0 },
    `Lines that ${AN_ADDRESS} may send in a second; agents are slowed down and lose nothing`,
  ),
  addressBytesPerSecond: limit(
    'BYTES_PER_SECOND',
    'bytesPerSecond',
    { default: 0, bytes: true },
    `Bytes of text that ${AN_ADDRESS} may send in a second`,
  ),
  taskConnections: limit(
    'TASK_CONNECTIONS',
    'taskConnections',
    { default: 0 },
    'Connections that may be open at once for one task: its agents, and its viewers by WebSockets and event streams',
  ),
  taskLinesPerSecond: limit(
    'TASK_LINES_PER_SECOND',
    'taskLinesPerSecond',
    { default: 0 },
    'Lines that may come for one task in a second',
  ),
  taskBytesPerSecond: limit(
    'TASK_BYTES_PER_SECOND',
    'taskBytesPerSecond',
    { default: 0, bytes: true },
    'Bytes of text that may come for one task in a second',
  ),
  tokenTasks: limit(
    'TASKS_PER_TOKEN',
    'tasksPerToken',
    { default: 0 },
    'Tasks that may be written to with one token in a day',
  ),
  maxMessageBytes: option({
    kind: size('256KiB', { min: 1024, max: MIB }),
    help: 'The largest body of a request, and the largest text message on a WebSocket',
    env: ['KERUTA_RELAY_MAX_MESSAGE'],
    key: 'relay.limits.maxMessage',
    default: MIB,
  }),
};

function limit(env: string, key: string, { default: standard, bytes = false }: Standard, help: string) {
  return option({
    kind: bytes ? size('10MiB', { max: MAX_LIMIT }) : integer('1000', { max: MAX_LIMIT }),
    help,
    env: [`KERUTA_RELAY_LIMIT_${env}`],
    key: `relay.limits.${key}`,
    default: standard,
    ...(standard === 0 && { defaultText: 'no limit' }),
  });
}

interface Standard {
  default: number;
  bytes?: boolean;
}
