import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { NUMBERED, NUMBERED_EXIT_CODE } from '../test/numbered.ts';
import { relayEnv, startAgent, startRelay, temporaryFolder } from '../test/programs.ts';
import { createClient } from './client.ts';
import type { LogMessage, MergedLogMessage } from '../shared/viewer-messages.ts';
import { tailGroups, type TailEvent, type TailOptions, type TailTarget } from './tail.ts';

const TOKEN = 'a-token-that-is-long';

/** A tail that is read until it has seen so many lines; what it saw. */
class Seen {
  readonly lines: (LogMessage | MergedLogMessage)[] = [];
  readonly others: TailEvent[] = [];
  readonly done: Promise<void>;
  #waiting: { count: number; resolve: () => void }[] = [];

  constructor(events: AsyncIterable<TailEvent[]>, until: number) {
    this.done = this.#read(events, until);
  }

  /** Resolves when so many lines have come. */
  count(count: number): Promise<void> {
    const come = new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
    this.#wake();
    return Promise.race([come, this.done]);
  }

  async #read(events: AsyncIterable<TailEvent[]>, until: number): Promise<void> {
    for await (const group of events) {
      for (const event of group) {
        if (event.type !== 'log') this.others.push(event);
        // The relay writes about itself, too.
        else if (event.taskId !== 'keruta-relay') this.lines.push(event);
      }
      this.#wake();
      if (this.lines.length >= until) return;
    }
  }

  #wake(): void {
    for (const { count, resolve } of this.#waiting) if (this.lines.length >= count) resolve();
    this.#waiting = this.#waiting.filter(({ count }) => this.lines.length < count);
  }
}

test(
  'a relay that is restarted in a flood: no tail of a client loses a line or sees one twice',
  { timeout: 180_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    const args = ['--auth-token', TOKEN];
    let relay = await startRelay(t, data, { args });
    const env = { ...relayEnv(relay, join(folder, 'spool')), KERUTA_AUTH_TOKEN: TOKEN };
    const agents = ['a', 'b', 'alone'].map((task) => {
      const pipeline = task === 'alone' ? [] : ['--pipeline-id', 'p'];
      const flags = ['execute', '--task-id', task, ...pipeline, '--no-tee', '--drain-timeout', '2m', '--', ...NUMBERED];
      return startAgent(t, flags, { env, stdin: 'pipe' });
    });
    let asked = 0;
    const client = createClient({
      url: relay.url,
      token: () => {
        asked++;
        return Promise.resolve(TOKEN);
      },
      backoff: { minMs: 20, maxMs: 200 },
    });
    t.after(() => client.close());
    const total = 9000;
    const follow = (target: TailTarget, lines: number, options: TailOptions = {}): Seen =>
      new Seen(tailGroups(client, target, { from: 'start', ...options }), lines);
    const tails = {
      a: follow({ task: 'a' }, total),
      again: follow({ task: 'a' }, total),
      filtered: follow({ task: 'b' }, total / 10, { filter: { regex: '^[0-9]*0 ' } }),
      pipeline: follow({ pipeline: 'p' }, 2 * total),
      alone: follow({ pipeline: 'alone' }, total),
      all: follow({ all: true }, 3 * total),
    };
    for (let written = total / 3; written <= total; written += total / 3) {
      for (const agent of agents) agent.process.stdin?.write(`${written}\n`);
      if (written === total) break;
      // Each agent has been there.
      const seen = [tails.a, tails.filtered, tails.alone].map((one) =>
        one.count((one === tails.filtered ? 0.1 : 1) * (written - 1000)),
      );
      await Promise.all(seen);
      assert.equal(await relay.stop(), 0);
      relay = await startRelay(t, data, { port: relay.port, args });
    }
    for (const agent of agents) agent.process.stdin?.end();
    await Promise.all(Object.values(tails).map((seen) => seen.done));
    for (const agent of agents) assert.equal((await agent.result).exitCode, NUMBERED_EXIT_CODE);

    const numbers = Array.from({ length: total }, (_, i) => i + 1);
    const of = (seen: Seen, task: string): number[] =>
      seen.lines.filter((line) => line.taskId === task).map((line) => line.lineNumber);
    assert.deepEqual(of(tails.a, 'a'), numbers);
    assert.deepEqual(of(tails.again, 'a'), numbers);
    assert.deepEqual(of(tails.filtered, 'b').length, total / 10);
    for (const task of ['a', 'b']) assert.deepEqual(of(tails.pipeline, task), numbers);
    assert.deepEqual(of(tails.alone, 'alone'), numbers);
    for (const task of ['a', 'b', 'alone']) assert.deepEqual(of(tails.all, task), numbers);
    assert.equal(tails.pipeline.lines.length, 2 * total);
    for (const seen of Object.values(tails)) {
      assert.deepEqual(
        seen.others.filter((event) => event.type === 'gap' || event.type === 'reset'),
        [],
      );
    }
    assert.ok(asked >= 3);
  },
);

test('a token that the relay does not know is a typed error of a tail', async (t) => {
  const relay = await startRelay(t, join(temporaryFolder(t), 'data'), { args: ['--auth-token', TOKEN] });
  for (const token of ['wrong', () => 'wrong']) {
    const client = createClient({ url: relay.url, token });
    await assert.rejects(tailGroups(client, { task: 't' }).next(), { name: 'ClientError', code: 'UNAUTHORIZED' });
    client.close();
  }
});
