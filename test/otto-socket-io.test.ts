import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { io, type Socket } from 'socket.io-client';
import { FaultyProxy } from './faulty-proxy.ts';
import { NUMBERED } from './numbered.ts';
import { relayEnv, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { Random } from './random.ts';

/** Otto's Socket.IO as its clients speak it, which come back by themselves and say where they were. */

/** Somebody who follows a task across all connections. */
class Follower {
  readonly lines: string[] = [];
  connections = 0;
  completed = false;
  readonly #socket: Socket;
  #cursor: string | undefined;
  #changed = Promise.withResolvers<undefined>();

  constructor(context: TestContext, url: string, { task, transports }: { task: string; transports: string[] }) {
    this.#socket = io(`${url}/log-streaming`, {
      forceNew: true,
      transports,
      reconnectionDelay: 20,
      reconnectionDelayMax: 100,
      timeout: 2000,
    });
    context.after(() => this.#socket.disconnect());
    this.#socket.on('connect', () => {
      this.connections++;
      this.#socket.emit('subscribe-to-logs', { taskId: task, cursor: this.#cursor });
    });
    this.#socket.on('log-entry', ({ message, cursor }: { message: string; cursor: string }) => {
      this.lines.push(message);
      this.#take(cursor);
    });
    this.#socket.on('stream-complete', ({ cursor }: { cursor: string }) => {
      this.completed = true;
      this.#take(cursor);
    });
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await this.#changed.promise;
  }

  #take(cursor: string): void {
    this.#cursor = cursor;
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve(undefined);
  }
}

const numbered = (last: number): string[] => Array.from({ length: last }, (_, i) => `${i + 1} of a job that says so`);

test(
  'whatever happens to relay and connections: every line once, in order, over each transport',
  { timeout: 120_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    let relay = await startRelay(t, data);
    const { port } = relay;
    const env = relayEnv(relay, join(folder, 'spool'));
    const proxy = new FaultyProxy(port, {
      random: new Random(11),
      fates: ['cut'],
      bytes: [300_000, 900_000],
      faults: 6,
    });
    const { url } = await proxy.start(t);
    const execute = ['execute', '--task-id', 't1', '--no-tee', '--', ...NUMBERED];
    const agent = startAgent(t, execute, { env, stdin: 'pipe' });
    const followers = [['websocket'], ['polling'], ['polling', 'websocket']].map(
      (transports) => new Follower(t, url, { task: 't1', transports }),
    );
    let last = 0;
    for (const end of ['stop', 'kill'] as const) {
      const before = last;
      last += 10_000;
      agent.process.stdin?.write(`${last}\n`);
      for (const follower of followers) await follower.until(() => follower.lines.length >= before + 2000);
      await relay[end]();
      relay = await startRelay(t, data, { port });
    }
    agent.process.stdin?.end();
    await agent.result;

    for (const follower of followers) {
      await follower.until(() => follower.completed);
      assert.deepEqual(follower.lines, numbered(last));
      assert.ok(follower.connections >= 3, 'it came back after each restart');
    }
    assert.ok(proxy.met > 0, 'connections were cut');
  },
);
