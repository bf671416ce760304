import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EventSource } from 'eventsource';
import { FaultyProxy } from './faulty-proxy.ts';
import { NUMBERED } from './numbered.ts';
import { relayEnv, runAgent, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { Random } from './random.ts';

/** Otto's streams of events as its clients read them: with EventSource, which comes back by itself. */
const BASE = '/api/v1/log-streaming';

interface Entry {
  taskId: string;
  message: string;
}

/** Somebody who follows a stream with what every browser has. */
class Follower {
  readonly byTask = new Map<string, string[]>();
  /** What came by name, other than lines. */
  readonly said: { name: string; data: Record<string, unknown> }[] = [];
  readonly source: EventSource;
  #changed = Promise.withResolvers<undefined>();

  constructor(context: TestContext, url: string) {
    this.source = new EventSource(url);
    context.after(() => this.source.close());
    const take = ({ data }: { data: string }): void => {
      const { taskId, message } = JSON.parse(data) as Entry;
      const lines = this.byTask.get(taskId) ?? [];
      lines.push(message);
      this.byTask.set(taskId, lines);
      this.#news();
    };
    this.source.onmessage = take;
    this.source.addEventListener('log', take);
    for (const name of ['progress', 'complete'] as const) {
      this.source.addEventListener(name, ({ data }: { data: string }) => {
        this.said.push({ name, data: JSON.parse(data) as Record<string, unknown> });
        this.#news();
      });
    }
    this.source.onerror = () => this.#news();
  }

  linesOf(task: string): string[] {
    return this.byTask.get(task) ?? [];
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await this.#changed.promise;
  }

  /** Whether it has been told not to come back. */
  get closed(): boolean {
    return this.source.readyState === EventSource.CLOSED;
  }

  #news(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve(undefined);
  }
}

const numbered = (last: number): string[] => Array.from({ length: last }, (_, i) => `${i + 1} of a job that says so`);

test(
  'whatever happens to relay and connections: every line once, in order, for a task and for everything',
  { timeout: 120_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    let relay = await startRelay(t, data);
    const { port } = relay;
    const env = relayEnv(relay, join(folder, 'spool'));
    const proxy = new FaultyProxy(port, {
      random: new Random(7),
      fates: ['cut'],
      bytes: [300_000, 900_000],
      faults: 3,
    });
    const { url } = await proxy.start(t);
    const tasks = ['a', 'b'];
    const agents = tasks.map((task) =>
      startAgent(t, ['execute', '--task-id', task, '--no-tee', '--', ...NUMBERED], { env, stdin: 'pipe' }),
    );
    const one = new Follower(t, `${url}${BASE}/stream/a`);
    const all = new Follower(t, `${url}${BASE}/stream?unnamed=true`);
    let last = 0;
    for (const end of ['stop', 'kill'] as const) {
      const before = last;
      last += 10_000;
      for (const agent of agents) agent.process.stdin?.write(`${last}\n`);
      await one.until(() => one.linesOf('a').length >= before + 2000);
      await relay[end]();
      relay = await startRelay(t, data, { port });
    }
    for (const agent of agents) agent.process.stdin?.end();
    await Promise.all(agents.map((agent) => agent.result));
    await one.until(() => one.closed);
    await all.until(() => tasks.every((task) => all.linesOf(task).length >= last));

    assert.ok(proxy.met > 0, 'connections were cut');
    assert.deepEqual(one.linesOf('a'), numbered(last));
    for (const task of tasks) assert.deepEqual(all.linesOf(task), numbered(last), task);
    assert.deepEqual(
      one.said.map(({ name }) => name),
      ['complete'],
    );
  },
);

test(
  'a pipeline shows what becomes of its tasks, across a restart, until all are over',
  { timeout: 120_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    const relay = await startRelay(t, data);
    const { port } = relay;
    const env = relayEnv(relay, join(folder, 'spool'));
    const viewer = new Follower(t, `${relay.url}${BASE}/pipelines/nightly/progress`);
    const states = (): string[] =>
      viewer.said.map(({ name, data: { stageId, status } }) =>
        name === 'progress' ? `${String(stageId)} ${String(status)}` : name,
      );
    const has = (state: string): Promise<void> => viewer.until(() => states().includes(state));
    const pipeline = ['--pipeline-id', 'nightly', '--no-tee', '--'];
    const long = startAgent(t, ['execute', '--task-id', 'long', ...pipeline, 'sh', '-c', 'read line'], {
      env,
      stdin: 'pipe',
    });
    await has('long 1');
    await relay.stop();
    await startRelay(t, data, { port });
    const { exitCode } = await runAgent(t, ['execute', '--task-id', 'bad', ...pipeline, 'sh', '-c', 'exit 4'], { env });
    assert.equal(exitCode, 4);
    await has('bad 3');
    assert.equal(states().includes('complete'), false);
    long.process.stdin?.end('go on\n');
    await viewer.until(() => viewer.closed);

    assert.deepEqual(states().slice(-3), ['long 2', ' 3', 'complete']);
    const { data: whole } = viewer.said.at(-2) ?? assert.fail('the pipeline is shown as a whole');
    assert.deepEqual([whole.progressPercentage, whole.pipelineId], [100, 'nightly']);
    assert.match(String(whole.errorMessage), /^bad: .*4/);
  },
);
