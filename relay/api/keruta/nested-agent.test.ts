import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import test, { describe, type TestContext } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { Principal, type Grant } from '../../auth/principal.ts';
import type { Caller } from '../../caller.ts';
import { openReading, until, type Reading } from '../../reading.fixture.ts';
import { openSenders, SOMEBODY, storedLines } from '../../senders/senders.fixture.ts';
import { serveNestedAgent, type NestedAgentOptions } from './nested-agent.ts';

/** An agent as keruta's Go agent 0.3.16 is one: frames end with a line feed, pings get a pong that names a task. */
class GoAgent {
  readonly heard: Record<string, unknown>[] = [];
  closed: number | undefined;
  readonly socket: WebSocket;

  constructor(url: string) {
    this.socket = new WebSocket(url);
    this.socket.on('message', (data) => {
      const message = JSON.parse((data as Buffer).toString()) as Record<string, unknown>;
      this.heard.push(message);
      if (message.type === 'ping') this.say({ type: 'pong', taskId: 't1' });
    });
    this.socket.on('close', (code) => (this.closed = code));
  }

  say(message: object | string): void {
    this.socket.send(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
  }

  log(message: string, taskId = 't1'): void {
    this.say({
      type: 'log',
      taskId,
      log: { level: 'INFO', message, timestamp: '2026-01-02T03:04:05.678901234Z', source: 'agent' },
    });
  }

  status(status: string, message?: string, taskId = 't1'): void {
    this.say({ type: 'status', taskId, status, message });
  }

  of(type: string): Record<string, unknown>[] {
    return this.heard.filter((message) => message.type === type);
  }
}

interface Served {
  reading: Reading;
  connect: () => Promise<GoAgent>;
}

async function serve(t: TestContext, options: Partial<NestedAgentOptions> = {}): Promise<Served> {
  const reading = await openReading(t);
  const senders = await openSenders(t, reading);
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket) =>
    serveNestedAgent(socket, { caller: SOMEBODY, reader: reading.reader, senders, ...options }),
  );
  await once(server, 'listening');
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return {
    reading,
    connect: async () => {
      const agent = new GoAgent(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
      await once(agent.socket, 'open');
      return agent;
    },
  };
}

async function untilRuns({ reading }: Served, task: string, expected: string[]): Promise<void> {
  for (;;) {
    const runs = (await reading.store.runs(task)).map(
      ({ status, lines, verified }) => `${status} ${lines} ${verified}`,
    );
    if (runs.join() === expected.join()) return;
  }
}

for (const [status, ended] of [
  ['COMPLETED', 'succeeded'],
  ['FAILED', 'failed'],
]) {
  test(`a whole job that ends ${status}, with a line behind its end and no close frame`, async (t) => {
    const served = await serve(t);
    const agent = await served.connect();
    agent.status('PROCESSING', 'started');
    agent.log('a');
    agent.log('b\nc');
    agent.status(status, 'done');
    agent.log('cleaning up');
    await until(() => agent.of('ack').at(-1)?.count === 3);
    agent.socket.terminate();
    await untilRuns(served, 't1', [`${ended} 3 true`]);
    assert.deepEqual(await storedLines(served.reading, 't1'), ['1 a', '2 b\nc', '3 cleaning up']);
    const task = await served.reading.store.task('t1');
    assert.deepEqual([task?.status, task?.message], [ended, 'done']);
  });
}

test('one socket carries several tasks', async (t) => {
  const served = await serve(t);
  const agent = await served.connect();
  for (let i = 0; i < 100; i++) agent.log(`${i}`, `t${i % 3}`);
  agent.status('COMPLETED', undefined, 't0');
  await until(() =>
    ['t0', 't1', 't2'].every((task) =>
      agent.of('ack').some(({ taskId, count }) => taskId === task && count === (task === 't0' ? 34 : 33)),
    ),
  );
  agent.socket.close(1000);
  await untilRuns(served, 't0', ['succeeded 34 true']);
  await untilRuns(served, 't2', ['succeeded 33 true']);
});

test('its pings are answered, and ours are', async (t) => {
  const { connect } = await serve(t, { pingEveryMs: 5 });
  const agent = await connect();
  agent.say({ type: 'ping' });
  await until(() => agent.of('ping').length >= 3 && agent.of('pong').length === 1);
  assert.deepEqual(agent.of('error'), []);
});

describe('a message that is wrong is answered in band, and the next one counts', () => {
  const rows: [string, string | Buffer, string][] = [
    ['that is not JSON', '{', 'INVALID_MESSAGE_FORMAT'],
    ['that is binary', Buffer.from('{}'), 'INVALID_MESSAGE_FORMAT'],
    ['without a task', '{"type":"log","log":{"level":"INFO","message":"m"}}', 'INVALID_MESSAGE_FORMAT'],
    ['of a viewer', '{"type":"subscribe","taskId":"t1"}', 'INVALID_MESSAGE_FORMAT'],
    ['of an unknown type', '{"type":"input","taskId":"t1","input":"x"}', 'INVALID_MESSAGE_FORMAT'],
    ['whose log is text', '{"type":"log","taskId":"t1","log":"m"}', 'INVALID_LOG_FORMAT'],
    ['whose log is null', '{"type":"log","taskId":"t1","log":null}', 'INVALID_LOG_FORMAT'],
    [
      'with an unknown level',
      '{"type":"log","taskId":"t1","log":{"level":"LOUD","message":"m"}}',
      'INVALID_LOG_FORMAT',
    ],
    ['with an unknown status', '{"type":"status","taskId":"t1","status":"DONE"}', 'INVALID_INPUT'],
  ];
  for (const [what, message, code] of rows) {
    test(what, async (t) => {
      const { reading, connect } = await serve(t);
      const agent = await connect();
      agent.socket.send(message);
      agent.log('good');
      await until(() => agent.of('ack').length > 0);
      assert.deepEqual(
        agent.of('error').map((error) => error.code),
        [code],
      );
      assert.deepEqual(await storedLines(reading, 't1'), ['1 good']);
    });
  }
});

test('a task that the token does not grant is refused in band', async (t) => {
  const grants: Grant[] = [{ scope: 'ingest', tasks: ['t*'] }];
  const caller: Caller = { ...SOMEBODY, principal: new Principal('key:k', grants) };
  const { reading, connect } = await serve(t, { caller });
  const agent = await connect();
  agent.log('x', 'other');
  agent.status('FAILED', undefined, 'other');
  agent.log('good');
  await until(() => agent.of('ack').length > 0);
  assert.deepEqual(
    agent.of('error').map((error) => error.code),
    ['FORBIDDEN', 'FORBIDDEN'],
  );
  assert.equal(await reading.store.task('other'), undefined);
  assert.equal((await reading.store.runs('t1'))[0].workerId, 'key:k');
});
