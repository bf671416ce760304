import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { FaultyProxy } from './faulty-proxy.ts';
import { NUMBERED, NUMBERED_EXIT_CODE } from './numbered.ts';
import { apartFromAbsence, relayEnv, startAgent, startRelay, temporaryFolder, type RelayProcess } from './programs.ts';
import { Random } from './random.ts';

/** Stratal's streams as independent clients read them, while relay and connections are ill-treated. */
const BASE = '/api/v1/logs/stream';

interface LogMessage {
  type: string;
  job_run_id: string;
  task_run_id?: string;
  message: string;
  cursor?: string;
}

/** What somebody who follows a stream was given, by task; and how often they had to come back. */
class Seen {
  readonly byTask = new Map<string, string[]>();
  connects = 0;
  #changed = Promise.withResolvers<undefined>();

  take({ type, job_run_id: job, task_run_id: task = job, message }: LogMessage): void {
    // The relay's own events: that it was started.
    if (type === 'system') return;
    const lines = this.byTask.get(task) ?? [];
    lines.push(message);
    this.byTask.set(task, lines);
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve(undefined);
  }

  async count(count: number): Promise<void> {
    const all = (): number => [...this.byTask.values()].reduce((sum, { length }) => sum + length, 0);
    while (all() < count) await this.#changed.promise;
  }
}

/** An EventSource comes back by itself, with the id of the last event. */
function followEvents(t: TestContext, url: string): Seen {
  const seen = new Seen();
  const source = new EventSource(url);
  t.after(() => source.close());
  source.addEventListener('connected', () => seen.connects++);
  source.addEventListener('log', ({ data }) => seen.take(JSON.parse(String(data)) as LogMessage));
  return seen;
}

/** A WebSocket that is opened again at the place of its last message. */
function followSocket(t: TestContext, url: string): Seen {
  const seen = new Seen();
  let place = 'start';
  let over = false;
  let current: WebSocket | undefined;
  t.after(() => {
    over = true;
    current?.terminate();
  });
  const connect = (): void => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${url.includes('?') ? '&' : '?'}cursor=${place}`);
    current = socket;
    let first = true;
    socket.on('message', (data) => {
      const log = JSON.parse((data as Buffer).toString()) as LogMessage;
      if (!first) seen.take(log);
      else seen.connects++;
      first = false;
      place = log.cursor ?? place;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (!over) setTimeout(connect, 100);
    });
  };
  connect();
  return seen;
}

const numbered = (last: number): string[] => Array.from({ length: last }, (_, i) => `${i + 1} of a job that says so`);

test(
  'whatever happens to relay and connections: every log once and in order, of a job run and of everything',
  { timeout: 150_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    let relay: RelayProcess = await startRelay(t, data);
    const faults = {
      random: new Random(7),
      fates: ['cut', 'stall'] as const,
      bytes: [100_000, 1_000_000] as const,
      faults: 12,
    };
    const proxy = await new FaultyProxy(relay.port, faults).start(t);

    const tasks = [
      { task: 'a', args: ['--pipeline-id', 'job'] },
      { task: 'b', args: ['--pipeline-id', 'job'] },
      { task: 'alone', args: [] },
    ];
    const env = relayEnv(relay, join(folder, 'spool'));
    const agents = tasks.map(({ task, args: more }) =>
      startAgent(t, ['execute', '--task-id', task, ...more, '--no-tee', '--', ...NUMBERED], { env, stdin: 'pipe' }),
    );
    const job = [
      followEvents(t, `${proxy.url}${BASE}/sse?job_run_id=job&from=start`),
      followSocket(t, `${proxy.url}${BASE}/ws?job_run_id=job`),
    ];
    const all = [followEvents(t, `${proxy.url}${BASE}/sse?from=start`), followSocket(t, `${proxy.url}${BASE}/ws`)];

    let last = 0;
    for (const end of ['stop', 'kill', undefined] as const) {
      const before = last;
      last += 10_000;
      for (const agent of agents) agent.process.stdin?.write(`${last}\n`);
      await Promise.all([...job, ...all].map((seen) => seen.count(before + 2000)));
      if (end === undefined) break;
      await relay[end]();
      relay = await startRelay(t, data, { port: relay.port });
    }
    await Promise.all([...job.map((seen) => seen.count(2 * last)), ...all.map((seen) => seen.count(3 * last))]);
    // Only now: an agent that can't reach its relay stays for as long as its script runs, and not much longer.
    for (const agent of agents) agent.process.stdin?.end();
    const results = await Promise.all(agents.map((agent) => agent.result));
    // What would come twice would have come by now.
    for (const { exitCode, stderr } of results)
      assert.deepEqual([exitCode, apartFromAbsence(stderr)], [NUMBERED_EXIT_CODE, '']);
    const expected = numbered(last);
    for (const seen of [...job, ...all]) {
      const known = job.includes(seen) ? ['a', 'b'] : ['a', 'alone', 'b'];
      assert.deepEqual([...seen.byTask.keys()].sort(), known);
      for (const task of known) assert.deepEqual(seen.byTask.get(task), expected);
      assert.ok(seen.connects >= 2, `${seen.connects} connects`);
    }
  },
);
