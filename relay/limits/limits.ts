import { KerutaError } from '../../shared/errors.ts';
import type { RelayConfig } from '../../shared/options/relay-options.ts';
import type { relayLimitOptions } from '../../shared/options/relay-limit-options.ts';
import { isLoopback } from '../auth/client-address.ts';
import type { Principal } from '../auth/principal.ts';
import { addressKey } from './address-key.ts';
import { OpenCounts } from './open-counts.ts';
import { Rate } from './rate.ts';
import { TokenTasks } from './token-tasks.ts';

/**
 * What a client may take of the relay: counted by its address, by task and by token, alike for all that listens. Limits
 * by address do not apply to this machine. Time is monotonic.
 */
export class Limits {
  /** Called whenever somebody is refused or slowed down. */
  onHit: (limit: LimitName) => void = () => undefined;
  readonly #allowed: LimitsConfig;
  readonly #open = { all: 0, byAddress: new OpenCounts(), byTask: new OpenCounts() };
  readonly #connects: Rate | undefined;
  readonly #requests: Rate | undefined;
  readonly #floods: Flood[];
  readonly #tokenTasks: TokenTasks;

  constructor(allowed: LimitsConfig, now: () => number = () => performance.now()) {
    const rate = (perPeriod: number, periodMs: number, burstMs = periodMs): Rate | undefined =>
      perPeriod === 0 ? undefined : new Rate({ allowed: perPeriod, periodMs, burstMs, now });
    const flood = (perSecond: number): Rate | undefined => rate(perSecond, SECOND_MS, FLOOD_BURST_MS);
    this.#allowed = allowed;
    this.#connects = rate(allowed.addressConnectsPerMinute, MINUTE_MS);
    this.#requests = rate(allowed.addressRequestsPerMinute, MINUTE_MS);
    this.#floods = [
      { of: 'address', unit: 'lines', limit: 'address-lines', rate: flood(allowed.addressLinesPerSecond) },
      { of: 'address', unit: 'bytes', limit: 'address-bytes', rate: flood(allowed.addressBytesPerSecond) },
      { of: 'task', unit: 'lines', limit: 'task-lines', rate: flood(allowed.taskLinesPerSecond) },
      { of: 'task', unit: 'bytes', limit: 'task-bytes', rate: flood(allowed.taskBytesPerSecond) },
    ].filter((one): one is Flood => one.rate !== undefined);
    this.#tokenTasks = new TokenTasks(allowed.tokenTasks, now);
  }

  /** Connections that last and are open: WebSockets, streams of events and the like. */
  get connections(): number {
    return this.#open.all;
  }

  /**
   * Such a connection is about to be opened; the answer is to be called once it has closed. Agents are counted by `run`
   * instead of here, so that all of them may come back after a restart. Throws a KerutaError: RATE_LIMIT_EXCEEDED, or
   * WEBSOCKET_CONNECTION_FAILED if there are too many of all clients.
   */
  connect({ address, kind, task }: Connecting): () => void {
    const { all, byAddress, byTask } = this.#open;
    const { maxConnections, addressConnections, taskConnections } = this.#allowed;
    const key = keyOf(address);
    if (all >= maxConnections) {
      this.onHit('connections');
      throw new KerutaError('WEBSOCKET_CONNECTION_FAILED', `There are ${all} connections already.`, {
        retryAfterMs: BUSY_MS,
      });
    }
    if (key !== undefined && addressConnections > 0 && byAddress.get(key) >= addressConnections)
      this.#refuse('address-connections', `${addressConnections} connections of this address are open already.`);
    if (task !== undefined && taskConnections > 0 && byTask.get(task) >= taskConnections)
      this.#refuse('task-connections', `${taskConnections} connections are open for this task already.`);
    if (kind !== 'agent') this.run(address);

    this.#open.all++;
    if (key !== undefined) byAddress.opened(key);
    if (task !== undefined) byTask.opened(task);
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      this.#open.all--;
      if (key !== undefined) byAddress.closed(key);
      if (task !== undefined) byTask.closed(task);
    };
  }

  /** An agent begins a run that the relay has not seen, or another connection is opened. Throws RATE_LIMIT_EXCEEDED. */
  run(address: string): void {
    const { addressConnectsPerMinute: allowed } = this.#allowed;
    this.#count(this.#connects, { address, limit: 'connects', what: `more than ${allowed} connections a minute` });
  }

  /** A request came. Throws RATE_LIMIT_EXCEEDED. */
  request(address: string): void {
    const { addressRequestsPerMinute: allowed } = this.#allowed;
    this.#count(this.#requests, { address, limit: 'requests', what: `more than ${allowed} requests a minute` });
  }

  /**
   * Counts lines that came, `bytes` of their text; answers for how many ms no more shall be taken of this sender, 0 for
   * none. With neither lines nor bytes it only answers.
   */
  lines(from: LinesFrom, lines: number, bytes: number): number {
    return this.#flood(from, (flood, key) => flood.rate.take(key, flood.unit === 'lines' ? lines : bytes));
  }

  /** Counts lines that may be refused. Throws RATE_LIMIT_EXCEEDED, and then they are not counted. */
  admitLines(from: LinesFrom, lines: number, bytes: number): void {
    const retryAfterMs = this.#flood(from, () => undefined);
    if (retryAfterMs > 0)
      throw new KerutaError('RATE_LIMIT_EXCEEDED', 'Too many lines came in too short a time.', { retryAfterMs });
    this.lines(from, lines, bytes);
  }

  /** Counts a task that the principal writes to. Throws RATE_LIMIT_EXCEEDED if that is one too many. */
  task(principal: Principal, task: string): void {
    const retryAfterMs = this.#tokenTasks.waitMs(principal, task);
    if (retryAfterMs === 0) return;
    const { tokenTasks } = this.#allowed;
    this.#refuse('token-tasks', `This token has written to ${tokenTasks} tasks within a day.`, retryAfterMs);
  }

  /** Does something with each flood limit that applies, and answers the longest wait behind it. */
  #flood({ address, task }: LinesFrom, act: (flood: Flood, key: string) => void): number {
    let longest = 0;
    for (const flood of this.#floods) {
      const key = flood.of === 'task' ? task : keyOf(address);
      if (key === undefined) continue;
      act(flood, key);
      const waitMs = flood.rate.waitMs(key);
      if (waitMs > 0) this.onHit(flood.limit);
      longest = Math.max(longest, waitMs);
    }
    return longest;
  }

  #count(rate: Rate | undefined, { address, limit, what }: { address: string; limit: LimitName; what: string }): void {
    const key = keyOf(address);
    if (rate === undefined || key === undefined) return;
    const waitMs = rate.waitMs(key);
    if (waitMs > 0) this.#refuse(limit, `From this address came ${what}.`, waitMs);
    rate.take(key);
  }

  #refuse(limit: LimitName, message: string, retryAfterMs = BUSY_MS): never {
    this.onHit(limit);
    throw new KerutaError('RATE_LIMIT_EXCEEDED', message, { retryAfterMs });
  }
}

/** What is allowed; 0 for any number. */
export type LimitsConfig = Pick<RelayConfig, Exclude<keyof typeof relayLimitOptions, 'maxMessageBytes'>>;

export const LIMITS = [
  'connections',
  'address-connections',
  'task-connections',
  'connects',
  'requests',
  'address-lines',
  'address-bytes',
  'task-lines',
  'task-bytes',
  'token-tasks',
] as const;
export type LimitName = (typeof LIMITS)[number];

export interface Connecting {
  /** The client's address. */
  address: string;
  kind: 'agent' | 'viewer' | 'sender';
  /** Absent where one socket is for many. */
  task?: string;
}

export interface LinesFrom {
  address: string;
  task: string;
  principal: Principal;
}

interface Flood {
  of: 'address' | 'task';
  unit: 'lines' | 'bytes';
  limit: LimitName;
  rate: Rate;
}

/** Undefined: the address is this machine's, and not counted. */
function keyOf(address: string): string | undefined {
  return isLoopback(address) ? undefined : addressKey(address);
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
/** A sender that was quiet for so long may send as much at once. */
const FLOOD_BURST_MS = 2000;
/** When somebody may have gone meanwhile. */
const BUSY_MS = 5000;
