import assert from 'node:assert/strict';
import { existsSync, openSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { WebSocketServer } from 'ws';
import { relayEnv, runAgent, startRelay, temporaryFolder } from './programs.ts';
import { readLines } from './viewer.ts';

const CONCURRENT = { timeout: 60_000, concurrency: 2 };
const task = 't';
const LINES = 300;
/** It ends as if there were no log at all. */
const JOB = ['sh', '-c', `seq ${LINES}; exit 7`];
const OUTPUT = Array.from({ length: LINES }, (_, i) => String(i + 1));

describe('what the user has to mend is said at once, and the script does not run', CONCURRENT, () => {
  const rows: [what: string, args: string[], stderr: RegExp, file?: string][] = [
    ['an unknown option', ['--grase', '1s'], /^keruta-agent: unknown option '--grase' \(Did you mean --grace\?\)\n/],
    [
      'an unknown key',
      [],
      /^keruta-agent: .*k\.yaml, line 2: unknown key agent\.tiemout; did you mean agent\.timeout\?\n$/,
      'agent:\n  tiemout: 1s\n',
    ],
    ['a file that is no YAML', [], /^keruta-agent: .*k\.yaml/, 'agent: [\n'],
    [
      'a bad duration',
      ['--timeout', '5 parsecs'],
      /^keruta-agent: --timeout: "5 parsecs" is not a duration; for example: 2h\n$/,
    ],
    [
      'a bad size',
      ['--spool-limit', 'lots'],
      /^keruta-agent: --spool-limit: "lots" is not a size; for example: 200MB\n$/,
    ],
    [
      'a task id that is too long',
      ['--task-id', 'ä'.repeat(129)],
      /^keruta-agent: --task-id: "ä+… has 258 bytes; 256 are allowed; for example: build-42\n$/,
    ],
    [
      'a task id with control characters',
      ['--task-id', 'a\tb'],
      /^keruta-agent: --task-id: "a\\tb" has control characters; for example: build-42\n$/,
    ],
    ['a URL that is none', ['--websocket-url', 'relay:8080'], /^keruta-agent: --websocket-url: "relay:8080" /],
    ['a mask file that is not there', ['--mask', '@/no/such/masks'], /^keruta-agent: .*\/no\/such\/masks/],
  ];
  for (const [what, args, stderr, file] of rows) {
    test(what, async (t) => {
      const folder = temporaryFolder(t);
      const ran = join(folder, 'ran');
      if (file !== undefined) writeFileSync(join(folder, 'k.yaml'), file);
      const config = file === undefined ? [] : ['--config', join(folder, 'k.yaml')];
      const result = await runAgent(t, ['execute', '--task-id', task, ...config, ...args, '--', 'touch', ran]);
      assert.equal(result.exitCode, 2);
      assert.match(result.stderr, stderr);
      assert.equal(existsSync(ran), false);
    });
  }
});

describe(
  'whatever answers in place of a relay: the job runs as if nothing were, the log waits, flush brings it',
  CONCURRENT,
  () => {
    const answers =
      (status: number, body = 'x') =>
      () =>
        http((response) => response.writeHead(status).end(body));
    const rows: [what: string, stand: () => Server, problem: RegExp][] = [
      ['a web server', answers(200), /is no keruta relay: it answers HTTP 200 and opens no WebSocket/],
      ['a web server without such a page', answers(404), /has nothing at this path \(HTTP 404\); is the URL right\?/],
      ['a gateway whose backend is away', answers(502), /answered HTTP 502/],
      [
        'a relay of another protocol version',
        answers(426, error('UNSUPPORTED_PROTOCOL', 'this relay speaks keruta.chunk.v9')),
        /speaks another protocol version \(HTTP 426\): this relay speaks keruta\.chunk\.v9: .*Update the older one/,
      ],
      [
        'a WebSocket of another kind',
        webSocketServer,
        /is no keruta relay of this version: it does not speak keruta\.chunk\.v1/,
      ],
      [
        'a server that is no web server',
        () => createServer((socket) => socket.on('error', () => undefined).end('220 mail\r\n')),
        /can't be reached \(/,
      ],
      [
        'a server that says nothing',
        () => createServer((socket) => socket.on('error', () => undefined)),
        /did not take everything in time/,
      ],
    ];
    for (const [what, stand, problem] of rows) {
      test(what, async (t) => {
        const folder = temporaryFolder(t);
        const server = stand().listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address() as AddressInfo;
        t.after(() => server.close());
        const env = relayEnv({ url: `http://127.0.0.1:${port}` }, join(folder, 'spool'));
        await assertKept(t, env, problem);
        await assertDelivered(t, { folder, env });
      });
    }

    test('a relay that does not know the token', async (t) => {
      const folder = temporaryFolder(t);
      const token = 'right-token-of-the-relay';
      const relay = await startRelay(t, join(folder, 'data'), { env: { KERUTA_RELAY_AUTH_TOKENS: token } });
      const env = relayEnv(relay, join(folder, 'spool'));
      for (const given of [env, { ...env, KERUTA_AUTH_TOKEN: 'some-other-token' }]) {
        await assertKept(t, given, /wants a token that it knows \(HTTP 401\).*KERUTA_AUTH_TOKEN/);
      }
      const flush = await runAgent(t, ['flush'], { env: { ...env, KERUTA_AUTH_TOKEN: token } });
      assert.equal(flush.exitCode, 0, flush.stderr);
      assert.equal(flush.stderr.match(/300 lines delivered; the relay has it all/g)?.length, 2);
    });
  },
);

describe("a relay's own troubles", CONCURRENT, () => {
  test('its data folder is in use: the sentence names the process that has it', async (t) => {
    const data = join(temporaryFolder(t), 'data');
    const first = await startRelay(t, data);
    await assert.rejects(startRelay(t, data), (error: Error) => {
      assert.match(
        error.message,
        /^the relay ended before it was ready: keruta-relay: the data folder .* is already in use by process \d+ on /,
      );
      assert.match(error.message, new RegExp(`by process ${first.process.pid} on`));
      return true;
    });
    // Whoever comes after a SIGKILL gets in.
    await first.kill();
    assert.equal(await (await startRelay(t, data)).stop(), 0);
  });

  test('its data folder is a file', async (t) => {
    const file = join(temporaryFolder(t), 'file');
    writeFileSync(file, '');
    const args = ['--data', join(file, 'data')];
    await assert.rejects(
      startRelay(t, temporaryFolder(t), { args }),
      /keruta-relay: the data folder .* can't be made: /,
    );
  });

  test('its store is none', async (t) => {
    const data = temporaryFolder(t);
    writeFileSync(join(data, 'keruta.db'), 'not a database at all, but long enough to look like one\n'.repeat(40));
    await assert.rejects(startRelay(t, data), /keruta-relay: .*keruta\.db/);
  });

  test('its port is taken', async (t) => {
    const first = await startRelay(t, temporaryFolder(t));
    const second = startRelay(t, temporaryFolder(t), { port: first.port });
    await assert.rejects(second, /keruta-relay: port \d+ of 127\.0\.0\.1 is already in use by another program\n$/);
  });
});

test(
  "a full disk under the agent's own output ends the tee, not the job, and the log is whole",
  { timeout: 60_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const relay = await startRelay(t, join(folder, 'data'));
    const env = relayEnv(relay, join(folder, 'spool'));
    const result = await runAgent(t, ['execute', '--task-id', task, '--', ...JOB], {
      env,
      stdout: openSync('/dev/full', 'w'),
    });
    assert.equal(result.exitCode, 7);
    assert.equal(result.stderr, "keruta-agent: can't write to stdout any more (ENOSPC); the log goes on without it\n");
    assert.deepEqual(await readLines({ url: relay.url, task }), OUTPUT);
  },
);

/** The job runs as if it were alone; the last words say how many lines wait, why, and what to do. */
async function assertKept(t: TestContext, env: Record<string, string>, problem: RegExp): Promise<void> {
  const { exitCode, stdout, stderr } = await runAgent(t, ['execute', '--task-id', task, '--', ...JOB], { env });
  assert.equal(exitCode, 7);
  assert.deepEqual(stdout.trimEnd().split('\n'), OUTPUT);
  const words = stderr.trimEnd().split('\n').at(-1) ?? '';
  assert.match(
    words,
    /^keruta-agent: 300 lines wait in the spool \(.*\); send with: keruta-agent flush --spool-dir \S+$/,
  );
  assert.match(words, problem);
}

/** A real relay comes, and `flush` brings it everything. */
async function assertDelivered(t: TestContext, { folder, env }: { folder: string; env: Record<string, string> }) {
  const relay = await startRelay(t, join(folder, 'data'));
  const flush = await runAgent(t, ['flush', '--api-url', `${relay.url}/api/v1`], { env });
  assert.equal(flush.exitCode, 0, flush.stderr);
  assert.deepEqual(await readLines({ url: relay.url, task }), OUTPUT);
}

function http(answer: (response: ServerResponse) => void): Server {
  return createHttpServer((_request, response) => answer(response));
}

/** Takes every WebSocket, with no subprotocol or any that is not ours. */
function webSocketServer(): Server {
  const server = createHttpServer();
  new WebSocketServer({ server, handleProtocols: () => false });
  return server;
}

function error(code: string, message: string): string {
  return JSON.stringify({ error: { code, message, status: 426 }, meta: { timestamp: '', version: '9' } });
}
