import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loopDelayIn, readMetrics } from '../metrics.ts';
import { residentBytes } from '../processes.ts';
import type { Relay } from '../programs.ts';
import { percentile } from '../table.ts';
import type { Steady } from './load.ts';
import type { Follower } from './readers.ts';
import type { Sample } from './sample.ts';

const MIB = 2 ** 20;

/** Looks at relay and agents from outside: at the kernel's files of their processes, the relay's store and its metrics. */
export class Observer {
  readonly #relay: Relay;
  readonly #steady: readonly Steady[];
  readonly #followers: readonly Follower[];
  readonly #start = performance.now();
  #last: { at: number; lines: number };

  constructor({
    relay,
    steady,
    followers,
  }: {
    relay: Relay;
    steady: readonly Steady[];
    followers: readonly Follower[];
  }) {
    this.#relay = relay;
    this.#steady = steady;
    this.#followers = followers;
    this.#last = { at: 0, lines: this.#lines };
  }

  /** Those that the followers got so far. */
  get #lines(): number {
    return this.#followers.reduce((sum, { sequences }) => sum + sequences.lines, 0);
  }

  /** `known`: what those know who do it. */
  async sample(known: Pick<Sample, 'readers' | 'jobs' | 'visits' | 'requests'>): Promise<Sample> {
    const metrics = await readMetrics(this.#relay.url);
    const of = (name: string): number => metrics.get(name) ?? NaN;
    const { pid, data } = this.#relay;
    const at = (performance.now() - this.#start) / 1000;
    const delays = this.#followers.flatMap((follower) => follower.delays);
    for (const follower of this.#followers) follower.delays = [];
    const lines = this.#lines;
    const linesPerSecond = (lines - this.#last.lines) / (at - this.#last.at);
    this.#last = { at, lines };
    const agents = this.#steady.map((agent) => agent.pid);
    return {
      at,
      relayRss: residentBytes(pid).now / MIB,
      relayHeap: of('nodejs_heap_size_used_bytes') / MIB,
      relayExternal: of('nodejs_external_memory_bytes') / MIB,
      relayDescriptors: countIn(pid, 'fd'),
      relayThreads: countIn(pid, 'task'),
      agentRss: Math.max(...agents.map((agent) => residentBytes(agent).now)) / MIB,
      agentDescriptors: agents.reduce((sum, agent) => sum + countIn(agent, 'fd'), 0),
      wal: sizeOf(join(data, 'keruta.db-wal')) / MIB,
      loopDelayP99: loopDelayIn(metrics),
      latencyP50: delays.length === 0 ? NaN : percentile(delays, 0.5),
      latencyP99: delays.length === 0 ? NaN : percentile(delays, 0.99),
      linesPerSecond,
      store: sizeOf(join(data, 'keruta.db')) / MIB,
      chunks: of('keruta_store_chunks'),
      expired: of('keruta_expired_total{unit="lines"}') / 1000,
      merged: of('keruta_merged_total{unit="chunks"}') / 1000,
      ...known,
    };
  }
}

function countIn(pid: number, what: 'fd' | 'task'): number {
  return readdirSync(`/proc/${pid}/${what}`).length;
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}
