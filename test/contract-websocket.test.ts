import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { startRelay, temporaryFolder, type RelayProcess } from './programs.ts';

/** Every message and close code of the WebSocket contract, spoken as somebody would who has only read it. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const SECRET = 'a secret of thirty-two bytes, or more';
const ADMIN = 'the-admin-token-of-this-test';

type Message = Record<string, unknown> & { type: string };

class Client {
  readonly messages: Message[] = [];
  readonly socket: WebSocket;
  #taken = 0;
  #heard: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed = Promise.withResolvers<number>();

  constructor(url: string, options: { protocol?: string; headers?: Record<string, string> } = {}) {
    this.socket = new WebSocket(url, options.protocol, { headers: options.headers ?? {} });
    this.socket.on('message', (data) => {
      this.messages.push(JSON.parse((data as Buffer).toString()) as Message);
      this.#heard.resolve();
    });
    this.socket.once('close', (code) => this.#closed.resolve(code));
  }

  say(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async opened(): Promise<this> {
    await once(this.socket, 'open');
    return this;
  }

  /** The next message of this type; those in between are skipped. */
  async next(type: string): Promise<Message> {
    for (;;) {
      while (this.#taken < this.messages.length) {
        const message = this.messages[this.#taken++];
        if (message.type === type) return message;
      }
      this.#heard = Promise.withResolvers();
      await this.#heard.promise;
    }
  }

  /** The code with which it was closed. */
  closed(): Promise<number> {
    return this.#closed.promise;
  }
}

describe('the WebSocket contract', { timeout: 120_000 }, () => {
  let relay: RelayProcess;
  const context = { after: (clean: () => void) => void process.once('exit', clean) };
  before(async () => {
    // It lives as long as all tests here, not as long as this hook.
    relay = await startRelay(context, join(temporaryFolder(context), 'data'), {
      args: ['--log-level', 'silent', '--auth-token', ADMIN, '--session-timeout', '1s'],
      env: { KERUTA_RELAY_JWT_SECRET: SECRET, KERUTA_RELAY_LIMIT_TASKS_PER_TOKEN: '20', KERUTA_RELAY_CLOCK_SKEW: '0' },
    });
  });

  after(() => relay.kill());

  const socketAt = (path: string, options?: ConstructorParameters<typeof Client>[1]): Client =>
    new Client(`${relay.url.replace('http', 'ws')}${path}`, options);
  const admin = (task: string, protocol?: string): Promise<Client> =>
    socketAt(`/ws/tasks/${task}?token=${ADMIN}`, { ...(protocol !== undefined && { protocol }) }).opened();
  const token = (claims: Record<string, unknown>, seconds = 60): Promise<string> =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('someone')
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(Buffer.from(SECRET));

  test('a bare connect is subscribed, and gets every line with every field', async () => {
    const viewer = await admin('bare');
    const subscribed = await viewer.next('subscribed');
    assert.match(subscribed.timestamp as string, TIME);
    assert.deepEqual(
      { ...subscribed, timestamp: '', cursor: typeof subscribed.cursor },
      { type: 'subscribed', taskId: 'bare', timestamp: '', cursor: 'string', firstLine: 1, lastLine: 0 },
    );
    const agent = await admin('bare');
    agent.say({ type: 'log', taskId: 'bare', level: 'WARN', message: 'careful', source: 'stderr' });
    const log = await viewer.next('log');
    assert.match(log.timestamp as string, TIME);
    assert.deepEqual(
      { ...log, id: typeof log.id, timestamp: '' },
      {
        ...{ type: 'log', id: 'string', taskId: 'bare', timestamp: '', source: 'stderr', level: 'WARN' },
        ...{ message: 'careful', lineNumber: 1, metadata: {} },
      },
    );
    const ack = await agent.next('ack');
    assert.deepEqual([ack.taskId, ack.count, ack.lastLine, ack.id], ['bare', 1, 1, log.id]);
    agent.socket.close(1000);
    const end = await viewer.next('end');
    assert.deepEqual([end.taskId, end.status, end.lines, end.verified], ['bare', 'succeeded', 1, true]);
  });

  test('a subscribe replaces the filter, and nothing comes twice', async () => {
    const viewer = await admin('filter');
    await viewer.next('subscribed');
    const agent = await admin('filter');
    const send = async (level: string, message: string): Promise<void> => {
      agent.say({ type: 'log', level, message, metadata: { user: message } });
      await agent.next('ack');
    };
    await send('INFO', 'one');
    assert.equal((await viewer.next('log')).message, 'one');
    const options = { sources: ['stdout', 'stderr', 'agent'], levels: ['ERROR'], realtime: true };
    viewer.say({ type: 'subscribe', taskId: 'filter', options });
    await viewer.next('subscribed');
    await send('INFO', 'two');
    await send('ERROR', 'three');
    assert.equal((await viewer.next('log')).message, 'three');
    for (const [extra, message] of [
      [{ from: 'start' }, 'one'],
      [{ from: 2 }, 'two'],
      [{ from: 'start', q: 'THR' }, 'three'],
      [{ from: 'start', regex: '^t.o$' }, 'two'],
      [{ from: 'start', meta: { user: 'two' } }, 'two'],
    ]) {
      viewer.say({ type: 'subscribe', taskId: 'filter', options: extra });
      await viewer.next('subscribed');
      assert.equal((await viewer.next('log')).message, message);
    }
  });

  test('a second task is added, and unsubscribed from', async () => {
    const viewer = await admin('first');
    await viewer.next('subscribed');
    viewer.say({ type: 'subscribe', taskId: 'second' });
    assert.equal((await viewer.next('subscribed')).taskId, 'second');
    viewer.say({ type: 'unsubscribe', taskId: 'first' });
    const unsubscribed = await viewer.next('unsubscribed');
    assert.equal(unsubscribed.taskId, 'first');
    assert.match(unsubscribed.timestamp as string, TIME);
  });

  test('one socket watches a task twice, a pipeline and all, each by its name', async () => {
    const agent = await admin('shared');
    for (const [level, message] of [
      ['INFO', 'one'],
      ['ERROR', 'two'],
    ]) {
      agent.say({ type: 'log', level, message });
      await agent.next('ack');
    }
    const viewer = await socketAt(`/ws?token=${ADMIN}`, { protocol: 'keruta.view.v1' }).opened();
    const options = { from: 'start', realtime: false };
    const task = { taskId: 'shared' };
    for (const [subscription, about, lines] of [
      ['all of it', { ...task, options }, ['one', 'two']],
      ['errors', { ...task, options: { ...options, levels: ['ERROR'] } }, ['two']],
      ['pipeline', { pipelineId: 'shared', options }, ['one', 'two']],
      ['everything', { all: true, options: { ...options, q: 'two' } }, ['two']],
    ] as const) {
      viewer.say({ type: 'subscribe', subscription, ...about });
      assert.equal((await viewer.next('subscribed')).subscription, subscription);
      assert.deepEqual(await viewer.next('for'), { type: 'for', subscription });
      for (const line of lines) assert.equal((await viewer.next('log')).message, line);
      const unsubscribed = await viewer.next('unsubscribed');
      assert.equal(unsubscribed.subscription, subscription);
      assert.match(unsubscribed.timestamp as string, TIME);
    }
  });

  test('a path without a task wants the subprotocol by which a viewer says what it wants', async () => {
    for (const protocol of [undefined, 'else', SUBPROTOCOL]) {
      const { socket } = socketAt(`/ws?token=${ADMIN}`, { ...(protocol !== undefined && { protocol }) });
      const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
      assert.equal(response.statusCode, 400);
      response.resume();
    }
  });

  test('a ping is answered', async () => {
    const viewer = await admin('ping');
    viewer.say({ type: 'ping' });
    assert.match((await viewer.next('pong')).timestamp as string, TIME);
  });

  test('a token may come as the first message, and a good one is needed', async () => {
    const viewer = await socketAt('/ws/tasks/auth').opened();
    viewer.say({ type: 'auth', token: 'wrong' });
    assert.equal((await viewer.next('error')).code, 'UNAUTHORIZED');
    viewer.say({ type: 'auth', token: await token({ scope: 'read' }) });
    await viewer.next('authenticated');
    await viewer.next('subscribed');
  });

  test('the nested dialect: several tasks, a line behind COMPLETED, and no close frame', async () => {
    const agent = await socketAt(`/ws/agent?token=${ADMIN}`).opened();
    const say = (message: object): void => agent.say(`${JSON.stringify(message)}\n`);
    const log = { level: 'INFO', message: 'm', timestamp: '2026-01-02T03:04:05Z', source: 'agent' };
    say({ type: 'status', taskId: 'n1', status: 'PROCESSING', message: 'started' });
    say({ type: 'log', taskId: 'n1', log });
    say({ type: 'log', taskId: 'n2', log });
    say({ type: 'status', taskId: 'n1', status: 'COMPLETED', message: 'done' });
    say({ type: 'log', taskId: 'n1', log: { ...log, message: 'late' } });
    say({ type: 'ping' });
    await agent.next('pong');
    const viewer = await admin('n1', 'keruta.view.v1');
    viewer.say({ type: 'subscribe', options: { from: 'start' } });
    assert.equal((await viewer.next('log')).message, 'm');
    assert.equal((await viewer.next('log')).message, 'late');
    agent.socket.terminate();
    const end = await viewer.next('end');
    assert.deepEqual([end.status, end.lines, end.verified], ['succeeded', 2, true]);
  });

  test('a token that grants another task is refused in band', async () => {
    const ingest = await token({ scope: 'ingest', tasks: 'mine-*' });
    const agent = await socketAt('/ws/agent', { headers: { authorization: `Bearer ${ingest}` } }).opened();
    agent.say({ type: 'log', taskId: 'yours', log: { level: 'INFO', message: 'm' } });
    assert.equal((await agent.next('error')).code, 'FORBIDDEN');
    agent.say({ type: 'log', taskId: 'mine-1', log: { level: 'INFO', message: 'm' } });
    await agent.next('ack');
  });

  describe('closes with', () => {
    const closes: [code: number, what: string, make: () => Promise<Client>][] = [
      [
        4001,
        'whoever says something else than its token',
        async () => {
          const viewer = await socketAt('/ws/tasks/t').opened();
          viewer.say({ type: 'subscribe' });
          return viewer;
        },
      ],
      [
        4003,
        'whoever may do nothing with the task',
        async () => socketAt(`/ws/tasks/t?token=${await token({ scope: 'read', tasks: 'else' })}`).opened(),
      ],
      [
        4004,
        'whoever speaks another language',
        async () => {
          const viewer = await admin('t');
          for (let i = 0; i < 100; i++) viewer.say('hello');
          return viewer;
        },
      ],
      [
        4009,
        'a message that is too large',
        async () => {
          const agent = await admin('t');
          agent.say({ type: 'log', message: 'x'.repeat(1024 * 1024) });
          return agent;
        },
      ],
      [
        4101,
        'a token that writes to too many tasks',
        async () => {
          const agent = socketAt(`/ws/agent?token=${await token({ scope: 'ingest' })}`);
          await agent.opened();
          for (let i = 0; i < 21; i++) agent.say({ type: 'log', taskId: `many-${i}`, log: { message: 'm' } });
          return agent;
        },
      ],
      [4103, 'whoever asks for nothing and says nothing', () => admin('t', 'keruta.view.v1')],
    ];
    for (const [code, what, make] of closes) {
      test(`${code}: ${what}`, async () => assert.equal(await (await make()).closed(), code));
    }

    test('4001: whoever watches beyond the end of its token', async () => {
      const viewer = await socketAt(`/ws/tasks/t?token=${await token({ scope: 'read' }, 3)}`).opened();
      await viewer.next('subscribed');
      assert.equal(await viewer.closed(), 4001);
    });

    test('426 before it is a WebSocket: an agent of another protocol version', async () => {
      const agent = socketAt(`/ws/tasks/t?token=${ADMIN}`, { protocol: `${SUBPROTOCOL.slice(0, -1)}9` });
      const [, response] = (await once(agent.socket, 'unexpected-response')) as [unknown, IncomingMessage];
      assert.equal(response.statusCode, 426);
      response.resume();
    });

    test('4102: all, when the relay is stopped', async () => {
      const viewer = await admin('t');
      const agent = await socketAt(`/ws/agent?token=${ADMIN}`).opened();
      const stopped = relay.stop();
      assert.deepEqual([await viewer.closed(), await agent.closed()], [4102, 4102]);
      assert.equal(await stopped, 0);
    });
  });
});
