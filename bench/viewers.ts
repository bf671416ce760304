import { setTimeout as sleep } from 'node:timers/promises';
import { conversations, watcher } from './conversations.ts';
import { cpuSeconds, run } from './processes.ts';
import type { Relay } from './programs.ts';
import type { Bench } from './stage.ts';
import { percentile, type Row } from './table.ts';
import { ticker } from './ticker.ts';
import { Peer, type Conversation, type Listening } from './viewers-peer.ts';

const stage = 'viewers';
const LINES_PER_SECOND = 100;

/**
 * A thousand viewers of one task: of a steady script over keruta's WebSocket and over all APIs, and of a flood. They
 * read raw bytes in this process, so that they leave the relay its share of the machine.
 */
export async function* viewerRows(bench: Bench): AsyncGenerator<Row> {
  const [viewers, seconds] = bench.scale.smoke ? [100, 2] : [1000, 8];
  const crowd = viewers.toLocaleString('en-US');

  const same = await steady(bench, { kinds: [watcher('one', { from: 'start' })], viewers, seconds, task: 'one' });
  const what = `${crowd} of one task over keruta's WebSocket, 100 lines/s, a frame a line, written → socket, p99`;
  const bar = { at: 'most', value: 50 } as const;
  yield { stage, what, value: percentile(same.all, 0.99), unit: 'ms', bar, note: `p50 ${p50(same.all)}` };
  yield { stage, what: "… the relay's share of a core", value: same.share * 100, unit: '%', bar };

  for (const batch of [false, true]) yield await flood(bench, { viewers, batch });

  const kinds = conversations('mixed');
  const mixed = await steady(bench, { kinds, viewers, seconds, task: 'mixed' });
  const mixedWhat = `${crowd} over all APIs, 100 lines/s, written → socket, p99`;
  yield { stage, what: mixedWhat, value: percentile(mixed.all, 0.99), unit: 'ms', note: `p50 ${p50(mixed.all)}` };
  yield { stage, what: "… the relay's share of a core", value: mixed.share * 100, unit: '%' };
  for (const { name } of kinds) {
    const value = percentile(mixed.byKind.get(name) ?? [], 0.99);
    yield { stage, what: `… ${name}, p99`, value, unit: 'ms' };
  }
}

const p50 = (delays: readonly number[]): string => `${percentile(delays, 0.5).toFixed(1)} ms`;

interface Steady {
  kinds: readonly Conversation[];
  viewers: number;
  seconds: number;
  task: string;
}

/** From writing to arrival, ms: of all viewers together, and by kind; and the relay's CPU seconds for each second of the script. */
async function steady(
  { programs }: Bench,
  { kinds, viewers, seconds, task }: Steady,
): Promise<{ all: number[]; byKind: Map<string, number[]>; share: number }> {
  const relay = await programs.relay(`viewers-${task}`);
  const byKind = new Map(kinds.map(({ name }): [string, number[]] => [name, []]));
  const crowd = new Crowd();
  try {
    await crowd.join(relay, viewers, (i) => {
      const kind = kinds[i % kinds.length];
      const delays = byKind.get(kind.name) ?? [];
      const heard: Listening = ({ time, number }, now) => {
        // The first second is the programs' own warming up.
        if (number >= LINES_PER_SECOND) delays.push(now - time);
      };
      return [kind, heard];
    });
    const { command, lines } = ticker({ linesPerSecond: LINES_PER_SECOND, seconds });
    const ended = run([...programs.agent, 'execute', ...named(task), '--no-tee', '--', ...command], relay.env);
    await Promise.race([sleep(1000), ended]);
    const cpu = cpuSeconds(relay.pid);
    await ended;
    await crowd.got(lines);
    const share = (cpuSeconds(relay.pid) - cpu) / (seconds - 1);
    return { all: [...byKind.values()].flat(), byKind, share };
  } finally {
    crowd.leave();
    await relay.stop();
  }
}

/** More lines than anybody watches: how many times a second a line reaches a viewer. */
async function flood(
  { programs, scale }: Bench,
  { viewers, batch }: { viewers: number; batch: boolean },
): Promise<Row> {
  const linesPerSecond = 3000;
  const seconds = scale.smoke ? 0.2 : 2;
  const relay = await programs.relay(`flood-${batch}`);
  const crowd = new Crowd();
  try {
    // One of them looks at the time: when the first line was written.
    let first = Infinity;
    const kind = watcher('flood', { from: 'start', ...(batch && { batch }) });
    await crowd.join(relay, viewers, (i) => [kind, i > 0 ? 'counts' : ({ time }) => (first = Math.min(first, time))]);
    const cpu = cpuSeconds(relay.pid);
    const { command, lines } = ticker({ linesPerSecond, seconds });
    await run([...programs.agent, 'execute', ...named('flood'), '--no-tee', '--', ...command], relay.env);
    await crowd.got(lines);
    const took = performance.timeOrigin + performance.now() - first;
    const deliveries = lines * viewers;
    const each = ((cpuSeconds(relay.pid) - cpu) / deliveries) * 1e6;
    return {
      stage,
      what: batch ? '… several lines a frame (batch)' : `a flood to ${viewers.toLocaleString('en-US')}, a frame a line`,
      value: deliveries / (took / 1000) / 1000,
      unit: 'k deliveries/s',
      ...(!batch && { bar: { at: 'least', value: 500 } as const }),
      note: `${(deliveries / 1e6).toFixed(1)} M deliveries, ${each.toFixed(2)} µs of the relay each`,
    };
  } finally {
    crowd.leave();
    await relay.stop();
  }
}

const named = (task: string): string[] => ['--task-id', task, '--pipeline-id', task];

/** Viewers that come together and leave together. */
class Crowd {
  readonly #peers: Peer[] = [];

  async join(relay: Relay, count: number, who: (i: number) => [Conversation, Listening]): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.#peers.push(new Peer(relay.url, ...who(i)));
      if (i % CONNECTS_AT_ONCE === 0) await this.#ready();
    }
    await this.#ready();
  }

  /** Resolves when each got so many lines; rejects if one can't. */
  async got(lines: number): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.got(lines)));
  }

  leave(): void {
    for (const peer of this.#peers) peer.close();
  }

  async #ready(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.ready));
  }
}

const CONNECTS_AT_ONCE = 50;
