import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveAgent } from './agent-config.ts';
import { agentOptions } from './agent-options.ts';
import { effective, misspeltVariables, printEffective } from './effective.ts';
import { parseConfig } from './file-text.ts';
import { relayOptions } from './relay-options.ts';
import { resolve, type Given } from './resolve.ts';
import { UsageError } from './usage-error.ts';

const SURROUNDINGS = { env: {}, hostname: 'host-1', home: '/home/u', temporary: '/tmp', uid: 1000 };

function given(parts: Partial<Omit<Given, 'file'>> & { file?: string }): Given {
  const { file, ...rest } = parts;
  const values = file === undefined ? undefined : parseConfig(file, 'k.yaml');
  return { flags: {}, env: {}, surroundings: SURROUNDINGS, ...rest, file: values };
}

const agent = (parts: Parameters<typeof given>[0] = {}) => resolveAgent(given(parts));
const relay = (parts: Parameters<typeof given>[0] = {}) => resolve(relayOptions, given(parts));

/** Some of what an object holds. */
function assertHas(actual: object, expected: object): void {
  for (const [name, value] of Object.entries(expected))
    assert.deepEqual((actual as Record<string, unknown>)[name], value, name);
}

describe('origins', () => {
  const FILE = 'agent:\n  grace: 3s\n';
  const rows: [string, Parameters<typeof given>[0], number, object][] = [
    ['nothing given', {}, 10_000, { from: 'default', name: '' }],
    ['the file', { file: FILE }, 3000, { from: 'file', name: 'agent.grace (k.yaml, line 2)' }],
    [
      'environment over file',
      { file: FILE, env: { KERUTA_GRACE: '2s' } },
      2000,
      { from: 'environment', name: 'KERUTA_GRACE' },
    ],
    [
      'flag over environment and file',
      { file: FILE, env: { KERUTA_GRACE: '2s' }, flags: { graceMs: '1s' } },
      1000,
      { from: 'flag', name: '--grace' },
    ],
    ['an empty variable', { env: { KERUTA_GRACE: '' } }, 10_000, { from: 'default', name: '' }],
  ];
  for (const [what, parts, graceMs, origin] of rows) {
    test(what, () => {
      const { config, origins } = agent(parts);
      assert.equal(config.graceMs, graceMs);
      assert.deepEqual(origins.graceMs, [origin]);
    });
  }
});

describe('values', () => {
  test('without anything, the defaults are those of the design', () => {
    assertHas(agent().config, {
      workerId: 'host-1',
      labels: {},
      graceMs: 10_000,
      mask: [],
      tee: true,
      verbose: false,
      logStreamingEnabled: true,
      logLevel: 'DEBUG',
      flushIntervalMs: 1000,
      batchSize: 1,
      maxPieceBytes: 262_144,
      spoolDir: '/home/u/.local/state/keruta/spool',
      spoolLimitBytes: 1_073_741_824,
      overflow: 'drop-oldest',
      memoryLimitBytes: 67_108_864,
      websocketUrls: ['ws://localhost:8080/ws/tasks'],
      websocketTimeoutMs: 30_000,
      reconnectMinMs: 100,
      reconnectMaxMs: 30_000,
      heartbeatIntervalMs: 10_000,
      apiUrl: 'http://localhost:8080/api/v1',
      authType: 'bearer',
    });
    assertHas(relay().config, {
      host: '127.0.0.1',
      port: 8080,
      dataDir: './data',
      authTokens: [],
      lostAfterMs: 60_000,
      minFreeBytes: 268_435_456,
      windowBytes: 67_108_864,
      logLevel: 'info',
    });
  });

  test('labels of all origins add up, the stronger wins, and the pod is among them', () => {
    const { config, origins } = agent({
      flags: { labels: ['team=flag', 'x=a=b'] },
      env: { KERUTA_LABELS: 'team=env,stage=prod', KERUTA_POD_NAME: 'p-1', KERUTA_NODE_NAME: 'n-1' },
      file: 'agent:\n  labels:\n    team: file\n    zone: 7\n',
    });
    assert.deepEqual(config.labels, { team: 'flag', x: 'a=b', stage: 'prod', pod: 'p-1', node: 'n-1', zone: '7' });
    assert.equal(origins.labels.length, 5);
  });

  test('secrets to mask of all origins add up', () => {
    const parts = { flags: { mask: ['a,b', '@f'] }, env: { KERUTA_MASK: 'c\nd\n' }, file: "agent: { mask: ['e'] }" };
    assert.deepEqual(agent(parts).config.mask, ['a,b', '@f', 'c', 'd', 'e']);
  });

  test("of a token's two names the first counts", () => {
    assert.equal(agent({ env: { KERUTA_AUTH_TOKEN: 'a', KERUTA_API_TOKEN: 'b' } }).config.authToken, 'a');
    assert.equal(agent({ env: { KERUTA_API_TOKEN: 'b\n' } }).config.authToken, 'b');
  });

  test('memoryLimitMB takes a bare number of megabytes', () => {
    assert.equal(agent({ file: 'performance: { memoryLimitMB: 512 }' }).config.memoryLimitBytes, 512_000_000);
  });

  test("a port that Kubernetes made of a Service is not the relay's", () => {
    assert.equal(relay({ env: { KERUTA_RELAY_PORT: 'tcp://10.0.0.1:80' } }).config.port, 8080);
  });

  const words: [string, string][] = [
    ['warning', 'WARN'],
    ['Info', 'INFO'],
    ['TRACE', 'DEBUG'],
    ['fatal', 'ERROR'],
  ];
  for (const [word, level] of words) {
    test(`the log level ${word} is ${level}`, () => {
      assert.equal(agent({ env: { KERUTA_LOG_LEVEL: word } }).config.logLevel, level);
    });
  }
});

describe('the spool folder', () => {
  const rows: [string, object, string][] = [
    ['is in the home', {}, '/home/u/.local/state/keruta/spool'],
    ['honours XDG_STATE_HOME', { env: { XDG_STATE_HOME: '/state' } }, '/state/keruta/spool'],
    ['ignores a relative one', { env: { XDG_STATE_HOME: 'state' } }, '/home/u/.local/state/keruta/spool'],
    ['is temporary, by user, without a home', { home: undefined }, '/tmp/keruta-1000/spool'],
    ['is temporary where users have no number', { home: undefined, uid: -1 }, '/tmp/keruta/spool'],
  ];
  for (const [what, surroundings, folder] of rows) {
    test(what, () => {
      assert.equal(agent({ surroundings: { ...SURROUNDINGS, ...surroundings } }).config.spoolDir, folder);
    });
  }
});

describe('what follows from other options', () => {
  const rows: [string, Record<string, string>, string, string][] = [
    ['an API alone', { apiUrl: 'https://k.example' }, 'wss://k.example/ws/tasks', 'https://k.example/api/v1'],
    ['an API below a path', { apiUrl: 'http://h:1/k/api/v1/' }, 'ws://h:1/k/ws/tasks', 'http://h:1/k/api/v1'],
    ['a WebSocket alone', { websocketUrls: 'ws://h:9' }, 'ws://h:9/ws/tasks', 'http://h:9/api/v1'],
    ['a WebSocket below a path', { websocketUrls: 'wss://h/k/ws/tasks/' }, 'wss://h/k/ws/tasks', 'https://h/k/api/v1'],
    ['both', { websocketUrls: 'ws://a/w', apiUrl: 'http://b' }, 'ws://a/w', 'http://b/api/v1'],
    ['an IPv6 address', { apiUrl: 'http://[::1]:8080' }, 'ws://[::1]:8080/ws/tasks', 'http://[::1]:8080/api/v1'],
  ];
  for (const [what, flags, websocketUrl, apiUrl] of rows) {
    test(`URLs: ${what}`, () => {
      const { config, origins } = agent({ flags });
      assert.deepEqual([config.websocketUrls, config.apiUrl], [[websocketUrl], apiUrl]);
      const derived = ['websocketUrls', 'apiUrl'].filter((name) => !(name in flags));
      for (const name of derived) assert.equal(origins[name][0].from, 'derived');
    });
  }

  test('an API key alone is sent as one', () => {
    assert.equal(agent({ env: { KERUTA_API_KEY: 'k' } }).config.authType, 'api-key');
    assert.equal(agent({ env: { KERUTA_API_KEY: 'k', KERUTA_AUTH_TOKEN: 't' } }).config.authType, 'bearer');
  });

  test('the longest wait before connecting again is never below the first', () => {
    assert.equal(agent({ env: { KERUTA_WEBSOCKET_RECONNECT_INTERVAL: '1m' } }).config.reconnectMaxMs, 60_000);
    const crossed = {
      KERUTA_WEBSOCKET_RECONNECT_INTERVAL: '1m',
      KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '1s',
    };
    assert.throws(() => agent({ env: crossed }), { message: /RECONNECT_MAX_INTERVAL: 1s is below .* 1m/ });
  });
});

describe('values that are refused', () => {
  const rows: [Parameters<typeof given>[0], string | RegExp][] = [
    [{ flags: { graceMs: 'soon' } }, '--grace: "soon" is not a duration; for example: 30s'],
    [{ flags: { timeoutMs: '0' } }, '--timeout: "0" is too small, 1ms is the least; for example: 2h'],
    [{ flags: { timeoutMs: '30d' } }, '--timeout: "30d" is too large, 2147483647ms is the most; for example: 2h'],
    [{ env: { KERUTA_SPOOL_LIMIT: '1G' } }, 'KERUTA_SPOOL_LIMIT: "1G" is not a size; for example: 200MB'],
    [
      { env: { KERUTA_LOG_BATCH_SIZE: '0' } },
      'KERUTA_LOG_BATCH_SIZE: "0" is too small, 1 is the least; for example: 10',
    ],
    [{ env: { KERUTA_TEE: 'maybe' } }, 'KERUTA_TEE: "maybe" is neither true nor false; for example: true'],
    [
      { env: { KERUTA_OVERFLOW: 'drop' } },
      'KERUTA_OVERFLOW: "drop" is none of drop-oldest, block; for example: drop-oldest',
    ],
    [{ flags: { labels: ['team'] } }, '--label: "team" is not of the form name=value; for example: team=web'],
    [{ flags: { taskId: 'a\nb' } }, '--task-id: "a\\nb" has control characters; for example: build-42'],
    [{ flags: { spoolDir: '~/spool' } }, /^--spool-dir: "~\/spool" begins with ~/],
    [{ flags: { taskId: 'x'.repeat(257) } }, /^--task-id: "x{79}… has 257 bytes; 256 are allowed/],
    [{ flags: { apiUrl: 'localhost:8080' } }, /^--api-url: "localhost:8080" is not a URL that begins with http:\/\//],
    [{ flags: { websocketUrls: 'http://h' } }, /is not a URL that begins with ws:\/\/ or wss:\/\//],
    [{ flags: { websocketUrls: 'ws://h/?token=t' } }, /has a query or a fragment/],
    [
      { file: '\n\nagent:\n  grace: 10 parsecs\n' },
      'agent.grace (k.yaml, line 4): "10 parsecs" is not a duration; for example: 30s',
    ],
    [{ file: 'agent: { grace: [1s, 2s] }' }, /is a list or a mapping; it takes one value/],
  ];
  for (const [parts, message] of rows) {
    test(String(message), () => {
      assert.throws(
        () => agent(parts),
        (error: Error) => {
          assert.ok(error instanceof UsageError);
          if (typeof message === 'string') assert.equal(error.message, message);
          else assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  test('a secret is never in the message', () => {
    const env = { KERUTA_AUTH_TOKEN: 'geheim geheim' };
    assert.throws(
      () => agent({ env }),
      (error: Error) => error.message.includes('KERUTA_AUTH_TOKEN') && !error.message.includes('geheim'),
    );
  });

  test('too many labels are refused, also if each origin has few enough', () => {
    const some = (prefix: string) => Array.from({ length: 40 }, (_, i) => `${prefix}${i}=x`);
    const parts = { flags: { labels: some('a') }, env: { KERUTA_LABELS: some('b').join(',') } };
    assert.throws(() => agent(parts), { message: /^--label, KERUTA_LABELS: its value has 80 names; 64 are allowed/ });
  });
});

describe('config', () => {
  test('shows each value as one would write it, with its origin, and hides secrets', () => {
    const env = { KERUTA_AUTH_TOKEN: 'geheim', KERUTA_MASK: 'geheim' };
    const shown = printEffective(effective(agentOptions, agent({ env, flags: { apiUrl: 'http://h:1' } })));
    assert.doesNotMatch(shown, /geheim/);
    assert.match(shown, /^agent\.mask +\(hidden\) +environment KERUTA_MASK$/m);
    assert.match(shown, /^auth\.token +\(hidden\) +environment KERUTA_AUTH_TOKEN$/m);
    assert.match(shown, /^auth\.apiKey +- +default$/m);
    assert.match(shown, /^agent\.grace +10s +default$/m);
    assert.match(shown, /^websocket\.url +ws:\/\/h:1\/ws\/tasks +follows from --api-url$/m);
  });

  test('says when a value was given under another name', () => {
    const parts = { env: { KERUTA_API_TOKEN: 't' }, file: 'performance: { memoryLimitMB: 512 }' };
    const shown = printEffective(effective(agentOptions, agent(parts)));
    assert.match(shown, /environment KERUTA_API_TOKEN, another name of KERUTA_AUTH_TOKEN$/m);
    assert.match(shown, /memoryLimitMB \(k\.yaml, line 1\), another name of performance\.memoryLimit$/m);
  });

  test('names variables that were meant to be ours', () => {
    const env = { KERUTA_GRAEC: '1', KERUTA_SERVICE_PORT_HTTP: '1', KERUTA_GRACE: '1', PATH: '1' };
    const found = misspeltVariables([agentOptions, relayOptions], env);
    assert.deepEqual(found, [{ name: 'KERUTA_GRAEC', near: 'KERUTA_GRACE' }]);
  });
});
