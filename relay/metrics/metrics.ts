import { constrainedMemory } from 'node:process';
import { totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ERRORS, type ErrorCode } from '../../shared/errors.ts';
import { LEVELS, SOURCES } from '../../shared/line.ts';
import type { DiskState } from '../disk.ts';
import type { Followed } from '../followed.ts';
import type { HealthReport } from '../health.ts';
import type { IngestMeter } from '../ingest.ts';
import { LIMITS, type LimitName } from '../limits/limits.ts';
import type { Expired, StoreSize } from '../store/store.ts';
import type { Intake } from './intake.ts';

/**
 * What a relay counts and measures, as Prometheus reads it. Whatever the others know already is asked of them when
 * somebody looks; nothing is counted by line, and no label has values that clients make up.
 */
export class Metrics implements IngestMeter {
  readonly #registry = new Registry();
  readonly #latency: Histogram;
  readonly #appends: Histogram;
  readonly #resumed: Counter;
  readonly #errors: Counter<'type'>;
  readonly #requests: Counter<'status'>;
  readonly #requestSeconds: Histogram;
  readonly #limited: Counter<'limit'>;
  readonly #lost: Counter;
  readonly #expired: Counter<'unit'>;
  readonly #commits: Histogram;
  readonly #merged: Counter<'unit'>;
  readonly #connections = new Map<string, (() => number)[]>();
  readonly #entries: Counter<'answer'>;

  constructor(version: string) {
    this.#latency = this.#histogram('keruta_log_latency_seconds', {
      help: "From writing a line to its being stored, by the clocks of agent and relay: of each chunk's oldest line",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    });
    this.#appends = this.#histogram('keruta_store_append_seconds', {
      help: 'From giving a chunk to the store to its being on the disk: waiting for company, the transaction, the fsync',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    });
    this.#commits = this.#histogram('keruta_store_commit_seconds', {
      help: 'Transactions of the store with their fsync',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    });
    this.#requestSeconds = this.#histogram('keruta_http_request_seconds', {
      help: 'HTTP requests, from the first byte to the last byte of the answer; no streams of events',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    });
    this.#resumed = this.#counter('keruta_reconnects_total', 'Agents that came back to go on with a run');
    this.#errors = this.#counter('keruta_errors_total', 'Errors that clients were told, by code', 'type');
    this.#requests = this.#counter(
      'keruta_http_requests_total',
      'HTTP requests, by the class of their status',
      'status',
    );
    this.#limited = this.#counter('keruta_limited_total', 'Times that a limit has refused or slowed somebody', 'limit');
    this.#lost = this.#counter('keruta_agents_lost_total', 'Runs whose agent fell silent');
    this.#expired = this.#counter('keruta_expired_total', 'What retention has deleted', 'unit');
    this.#merged = this.#counter(
      'keruta_merged_total',
      'Small chunks that were merged, and what became of them',
      'unit',
    );
    this.#entries = this.#counter('keruta_grpc_entries_total', "Entries of workers' gRPC streams, by answer", 'answer');
    for (const answer of ['ACK', 'RETRY', 'DROP']) this.#entries.inc({ answer }, 0);
    for (const unit of ['chunks', 'into', 'lines']) this.#merged.inc({ unit }, 0);
    for (const type of Object.keys(ERRORS)) this.#errors.inc({ type }, 0);
    for (const status of ['2xx', '3xx', '4xx', '5xx']) this.#requests.inc({ status }, 0);
    for (const name of LIMITS) this.#limited.inc({ limit: name }, 0);
    for (const unit of ['lines', 'chunks', 'bytes']) this.#expired.inc({ unit }, 0);
    this.#gauge('keruta_build_info', 'Always 1', ['version'], () => [[{ version }, 1]]);
    this.#gauge('keruta_memory_limit_bytes', 'Memory that this process may use, or that there is', [], () => [
      [{}, memoryLimit()],
    ]);
  }

  /** The exposition format of Prometheus. What can't be asked in time is no number (NaN). */
  async text(): Promise<string> {
    return await Registry.merge([processRegistry(), this.#registry]).metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Adds what the parts of the relay know themselves. */
  watch(sources: MetricSources): void {
    const { intake, ingest, connections, traffic, followed, tails, store, disk, health, windowBytes } = sources;
    this.#total('keruta_logs_total', 'Lines that were stored', ['source', 'level'], () =>
      SOURCES.flatMap((source, i) =>
        LEVELS.map((level, j): Sample => [{ source, level }, intake.lines[i * LEVELS.length + j]]),
      ),
    );
    this.#total('keruta_log_bytes_total', 'Text that was stored, in bytes', [], () => [[{}, intake.textBytes]]);
    this.#total('keruta_chunks_total', 'Chunks that were stored', [], () => [[{}, intake.chunks]]);
    this.#total('keruta_chunk_bytes_total', 'Bytes of chunks as they are stored', [], () => [[{}, intake.bytes]]);
    this.#total('keruta_missing_lines_total', 'Lines that never came or were given up, by why', ['reason'], () =>
      Object.entries(intake.missing).map(([reason, lines]): Sample => [{ reason }, lines]),
    );
    this.watchConnections('agent', () => connections().agents);
    this.watchConnections('viewer', () => connections().viewers);
    this.#gauge('keruta_connections', 'Connections that are open: WebSockets, and those of other kinds', ['kind'], () =>
      Array.from(this.#connections, ([kind, counts]): Sample => [
        { kind },
        counts.reduce((sum, count) => sum + count(), 0),
      ]),
    );
    this.#gauge('keruta_runs_writing', 'Runs whose agents are connected', [], () => [[{}, ingest.runs]]);
    this.#total('keruta_websocket_bytes_total', 'Bytes over WebSockets', ['direction'], () => {
      const { read, written } = traffic();
      return [
        [{ direction: 'in' }, read],
        [{ direction: 'out' }, written],
      ];
    });
    this.#gauge('keruta_buffer_size', 'Bytes in memory', ['type'], () => [
      [{ type: 'ingest' }, ingest.pendingBytes],
      [{ type: 'tail' }, tails.reduce((bytes, tail) => bytes + tail.bytes, 0)],
    ]);
    this.#gauge('keruta_buffer_limit', 'Bytes that these may have', ['type'], () => [
      [{ type: 'ingest' }, windowBytes],
    ]);
    this.#gauge('keruta_store_waiting_seconds', 'How long the oldest write into the store has been waiting', [], () => [
      [{}, store.waitingMs / 1000],
    ]);
    this.#total('keruta_delivered_lines_total', 'Lines that readers who follow tasks were given', [], () => [
      [{}, followed.delivered],
    ]);
    this.#gauge('keruta_readers', 'Readers who follow a task', [], () => [[{}, followed.readers]]);
    this.#gauge('keruta_reader_lag_lines', 'Lines that readers have not been given yet', ['of'], () => {
      const { most, all } = followed.lag();
      return [
        [{ of: 'slowest' }, most],
        [{ of: 'all' }, all],
      ];
    });
    this.#watchStore(store);
    this.#gauge('keruta_disk_free_bytes', 'Bytes that are free on the disk of the store', [], () => [
      [{}, disk().freeBytes],
    ]);
    this.#gauge('keruta_healthy', 'Checks of /health: 1 if it is well', ['check'], async () =>
      Object.entries((await health()).checks).map(([check, { healthy }]): Sample => [{ check }, healthy ? 1 : 0]),
    );
  }

  /** Adds to the connections of a kind those that `count` says are open now. */
  watchConnections(kind: string, count: () => number): void {
    const counts = this.#connections.get(kind) ?? [];
    counts.push(count);
    this.#connections.set(kind, counts);
  }

  stored(ms: number): void {
    this.#latency.observe(ms / 1000);
  }

  /** The mean of what `stored` was told, in ms; 0 before the first. */
  async averageLatencyMs(): Promise<number> {
    const { values } = await this.#latency.get();
    const of = (end: string): number => values.find(({ metricName }) => metricName?.endsWith(end))?.value ?? 0;
    const count = of('_count');
    return count === 0 ? 0 : (1000 * of('_sum')) / count;
  }

  appended(ms: number): void {
    this.#appends.observe(ms / 1000);
  }

  committed(ms: number): void {
    this.#commits.observe(ms / 1000);
  }

  merged({ chunks, into, lines }: { chunks: number; into: number; lines: number }): void {
    this.#merged.inc({ unit: 'chunks' }, chunks);
    this.#merged.inc({ unit: 'into' }, into);
    this.#merged.inc({ unit: 'lines' }, lines);
  }

  /** Entries of workers were answered alike. */
  entriesAnswered(answer: 'ACK' | 'RETRY' | 'DROP', count: number): void {
    this.#entries.inc({ answer }, count);
  }

  resumed(): void {
    this.#resumed.inc();
  }

  sentAway(code: ErrorCode): void {
    this.failed(code);
  }

  /** A client was told this. */
  failed(type: ErrorCode): void {
    this.#errors.inc({ type });
  }

  /** A request was answered, after so many ms; see `AppMeter`. */
  answered(status: number, ms: number | undefined): void {
    this.#requests.inc({ status: `${Math.floor(status / 100)}xx` });
    if (ms !== undefined) this.#requestSeconds.observe(ms / 1000);
  }

  limited(limit: LimitName): void {
    this.#limited.inc({ limit });
  }

  lostAgent(): void {
    this.#lost.inc();
  }

  /** Retention has deleted something. */
  expired({ lines, chunks, bytes }: Pick<Expired, 'lines' | 'chunks' | 'bytes'>): void {
    this.#expired.inc({ unit: 'lines' }, lines);
    this.#expired.inc({ unit: 'chunks' }, chunks);
    this.#expired.inc({ unit: 'bytes' }, bytes);
  }

  #watchStore(store: MetricSources['store']): void {
    let asked: Promise<StoreSize> | undefined;
    // Both gauges are asked at the same moment. A disk that hangs must not hide all else from whoever looks for it.
    const size = async (): Promise<StoreSize> => {
      asked ??= store.size().finally(() => (asked = undefined));
      const silence = delay(STORE_PATIENCE_MS, UNKNOWN_SIZE, { ref: false });
      return Promise.race([asked, silence]).catch(() => UNKNOWN_SIZE);
    };
    this.#gauge(
      'keruta_store_bytes',
      'What the store takes on the disk, and which part of that',
      ['part'],
      async () => {
        const { bytes, pendingBytes, freeBytes } = await size();
        return [
          [{ part: 'all' }, bytes],
          [{ part: 'pending' }, pendingBytes],
          [{ part: 'free' }, freeBytes],
        ];
      },
    );
    this.#gauge('keruta_store_chunks', 'Chunks in the store', [], async () => [[{}, (await size()).chunks]]);
  }

  #histogram(name: string, { help, buckets }: { help: string; buckets: number[] }): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.#registry] });
  }

  #counter<T extends string>(name: string, help: string, ...labelNames: T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, labelNames: string[], samples: Sampling): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        for (const [labels, value] of await samples()) this.set(labels, value);
      },
    });
  }

  /** A counter that somebody else keeps. */
  #total(name: string, help: string, labelNames: string[], samples: () => Sample[]): void {
    new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.inc(labels, value);
      },
    });
  }
}

/** Where metrics are found when somebody looks. */
export interface MetricSources {
  intake: Pick<Intake, 'lines' | 'missing' | 'chunks' | 'bytes' | 'textBytes'>;
  ingest: { readonly runs: number; readonly pendingBytes: number };
  connections: () => { agents: number; viewers: number };
  /** Bytes over all WebSockets. */
  traffic: () => { read: number; written: number };
  followed: Pick<Followed, 'delivered' | 'readers' | 'lag'>;
  tails: readonly { readonly bytes: number }[];
  store: { size(): Promise<StoreSize>; readonly waitingMs: number };
  disk: () => DiskState;
  health: () => Promise<HealthReport>;
  /** What ingest may hold. */
  windowBytes: number;
}

type Sample = [labels: Record<string, string>, value: number];
type Sampling = () => Sample[] | Promise<Sample[]>;

/** Of the process, however many relays run in it: what observes it is never taken down. */
function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}

let ofProcess: Registry | undefined;

const STORE_PATIENCE_MS = 2000;
const UNKNOWN_SIZE: StoreSize = { bytes: NaN, pendingBytes: NaN, freeBytes: NaN, chunks: NaN };

/** What a container's limit says, else the machine's memory. Some systems answer 0 or 2^64 for no limit. */
function memoryLimit(): number {
  const limit = constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
