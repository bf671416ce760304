import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { agentOptions } from './agent-options.ts';
import { envNames } from './flags.ts';
import { parseConfig } from './file-text.ts';
import type { Table } from './option.ts';
import { relayOptions } from './relay-options.ts';
import { keysOf, resolve } from './resolve.ts';
import { sampleConfig } from './sample.ts';

const TABLES: [string, Table][] = [
  ['agent', agentOptions],
  ['relay', relayOptions],
];
const SURROUNDINGS = { env: {}, hostname: 'h', home: '/home/u', temporary: '/tmp', uid: 0 };

/** Names that keruta's documents promise. */
const DOCUMENTED = {
  env: [
    'KERUTA_TASK_ID',
    'KERUTA_LOG_STREAMING_ENABLED',
    'KERUTA_LOG_BUFFER_SIZE',
    'KERUTA_LOG_BATCH_SIZE',
    'KERUTA_LOG_FLUSH_INTERVAL',
    'KERUTA_LOG_LEVEL',
    'KERUTA_WEBSOCKET_URL',
    'KERUTA_WEBSOCKET_TIMEOUT',
    'KERUTA_WEBSOCKET_RECONNECT_INTERVAL',
    'KERUTA_WEBSOCKET_MAX_RECONNECT_ATTEMPTS',
    'KERUTA_API_URL',
    'KERUTA_API_TIMEOUT',
    'KERUTA_API_RETRY_COUNT',
    'KERUTA_API_RETRY_INTERVAL',
    'KERUTA_AUTH_TOKEN',
    'KERUTA_API_TOKEN',
    'KERUTA_API_KEY',
    'KERUTA_AUTH_TYPE',
    'KERUTA_POD_NAME',
    'KERUTA_POD_NAMESPACE',
    'KERUTA_NODE_NAME',
    'JWT_SECRET',
    'LOG_LEVEL',
    'WEBSOCKET_PORT',
  ],
  keys: [
    'logStreaming.enabled',
    'logStreaming.batchSize',
    'logStreaming.flushInterval',
    'logStreaming.level',
    'logStreaming.bufferSize',
    'logStreaming.maxRetries',
    'logStreaming.retryInterval',
    'logStreaming.filters.excludePatterns',
    'logStreaming.filters.includePatterns',
    'logStreaming.filters.maxMessageLength',
    'performance.rateLimitPerSecond',
    'performance.memoryLimitMB',
    'websocket.url',
    'websocket.heartbeatInterval',
    'websocket.timeout',
    'websocket.reconnectInterval',
    'websocket.maxReconnectAttempts',
    'websocket.security.verifyCert',
    'websocket.security.certPath',
    'api.url',
    'api.timeout',
    'api.retryCount',
    'api.retryInterval',
    'websocket.maxConnections',
    'websocket.sessionTimeoutMinutes',
    'websocket.enableCompression',
  ],
  flags: [
    '--task-id',
    '--pipeline-id',
    '--label',
    '--worker-id',
    '--work-dir',
    '--timeout',
    '--grace',
    '--log-level',
    '--disable-log-streaming',
    '--no-tee',
    '--websocket-url',
    '--api-url',
    '--spool-dir',
    '--spool-limit',
    '--overflow',
    '--drain-timeout',
    '--mask',
    '--verbose',
    '--log-file',
    '--strict',
    '--spool-max-age',
  ],
};

test('keruta.config.yaml is the tables, printed', () => {
  const path = join(import.meta.dirname, '../../keruta.config.yaml');
  assert.equal(readFileSync(path, 'utf8'), sampleConfig(), 'node scripts/config-sample.ts > keruta.config.yaml');
});

test('the sample sets nothing, so that it may lie where it is found', () => {
  assert.equal(parseConfig(sampleConfig(), 'sample').size, 0);
});

for (const [name, table] of TABLES) {
  test(`with its comments opened, the sample has every key of the ${name}, and defaults are what they say`, () => {
    const file = parseConfig(sampleConfig().replaceAll(/^( *)#(?=\w)/gm, '$1'), 'sample');
    const opened = resolve(table, { flags: {}, env: {}, file, surroundings: SURROUNDINGS });
    for (const [property, row] of Object.entries(table)) {
      if (row.key !== undefined) assert.equal(opened.origins[property][0].from, 'file', property);
      const value: unknown = row.default;
      if (['string', 'number', 'boolean'].includes(typeof value)) {
        assert.equal((opened.config as Record<string, unknown>)[property], value, property);
      }
    }
  });

  test(`every example of the ${name} can be read, and what is read is printed as it was meant`, () => {
    for (const [property, { kind }] of Object.entries(table)) {
      const value: unknown = kind.read(kind.example);
      assert.deepEqual(kind.read(kind.print(value)), value, property);
    }
  });
}

test('every documented name is in the table, and no name twice', () => {
  const rows = TABLES.flatMap(([, table]) => Object.values(table));
  const env = rows.flatMap(envNames);
  const keys = rows.flatMap(keysOf).map(({ name }) => name);
  const flags = Object.values(agentOptions as Table).flatMap(({ flag }) => flag ?? []);
  for (const [names, documented] of [
    [env, DOCUMENTED.env],
    [keys, DOCUMENTED.keys],
    [flags, DOCUMENTED.flags],
  ]) {
    assert.deepEqual(
      documented.filter((name) => !names.includes(name)),
      [],
    );
    assert.equal(new Set(names).size, names.length);
  }
});

/** Names of other programs' that keruta's documents give to the relay. */
const SEED = ['JWT_SECRET', 'LOG_LEVEL', 'WEBSOCKET_PORT'];

test("the agent's variables begin with KERUTA_, the relay's with KERUTA_RELAY_", () => {
  for (const row of Object.values(relayOptions as Table)) {
    for (const [at, name] of envNames(row).entries())
      assert.ok(name.startsWith('KERUTA_RELAY_') || (at > 0 && SEED.includes(name)), name);
  }
  for (const row of Object.values(agentOptions as Table))
    for (const name of envNames(row)) assert.match(name, /^KERUTA_(?!RELAY_)/);
});
