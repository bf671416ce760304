import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { DiskState } from './disk.ts';

/** How the relay is: asked by people, load balancers and Kubernetes, so often that asking must cost next to nothing. */
export class Health {
  readonly #checks: Record<string, () => Promise<Finding> | Finding>;
  #draining = false;
  #last: { at: number; report: Promise<HealthReport> } | undefined;

  constructor(checks: Record<string, () => Promise<Finding> | Finding>) {
    this.#checks = checks;
  }

  /** From now on it wants no more work: /health/ready says so at once. */
  drain(): void {
    this.#draining = true;
    this.#last = undefined;
  }

  /** All checks, at most once in 500 ms; a check that takes 2 s is unhealthy. */
  report(): Promise<HealthReport> {
    const now = performance.now();
    if (this.#last === undefined || now - this.#last.at > KEEP_MS) this.#last = { at: now, report: this.#ask() };
    return this.#last.report;
  }

  async #ask(): Promise<HealthReport> {
    const names = Object.keys(this.#checks);
    const found = await Promise.all(names.map((name) => timed(this.#checks[name])));
    const checks: Record<string, Check> = Object.fromEntries(names.map((name, i) => [name, found[i]]));
    const accepting = { healthy: !this.#draining, message: this.#draining ? 'the relay is stopping' : 'yes' };
    checks.accepting = { ...accepting, latency: 0 };
    return {
      status: Object.values(checks).every((check) => check.healthy) ? 'healthy' : 'unhealthy',
      timestamp: new Date().toISOString(),
      checks,
    };
  }
}

export interface HealthReport {
  status: 'healthy' | 'unhealthy';
  timestamp: string;
  checks: Record<string, Check>;
}

/** `latency` in ms: what the check took, unless it measures something better. */
export interface Check {
  healthy: boolean;
  message: string;
  latency: number;
}

export interface Finding {
  healthy: boolean;
  message: string;
  latency?: number;
}

/**
 * Healthy if the store answers a question, and does what it is asked to write. That nothing is written to find out costs
 * little truth: the relay writes anyway, if nothing else then its look for lost agents every few seconds (LostWatch), and
 * a write that is never answered counts as one that failed (StoreWatch).
 */
export async function storeCheck(store: { nextPosition(): Promise<number> }, writes: WriteWatch): Promise<Finding> {
  await store.nextPosition();
  const problem = writes.problem();
  return problem === undefined ? { healthy: true, message: 'reads and writes' } : { healthy: false, message: problem };
}

/** How the last writes went. */
export class WriteWatch {
  readonly #waitingMs: () => number;
  #failure: string | undefined;

  /** `waitingMs`: for how long the store has left something unanswered. */
  constructor(waitingMs: () => number) {
    this.#waitingMs = waitingMs;
  }

  worked(): void {
    this.#failure = undefined;
  }

  failed(error: unknown): void {
    this.#failure = `the last write failed: ${(error as Error).message}`;
  }

  problem(): string | undefined {
    const waitingMs = this.#waitingMs();
    if (waitingMs >= SLOW_WRITE_MS) return `a write has been waiting for ${Math.round(waitingMs / 1000)} s`;
    return this.#failure;
  }
}

export function diskCheck({ room, freeBytes, problem }: DiskState): Finding {
  if (!room) return { healthy: false, message: problem ?? 'no room' };
  return { healthy: true, message: `${Math.round(freeBytes / 1024 / 1024)} MiB are free` };
}

/** How late timers are, over the time since the last question. */
export class EventLoopCheck {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  find(): Finding {
    // The histogram counts whole intervals, late or not.
    const late = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e5 - RESOLUTION_MS * 10) / 10);
    const [mean, worst] = this.#delay.count === 0 ? [0, 0] : [late(this.#delay.mean), late(this.#delay.percentile(99))];
    this.#delay.reset();
    return { healthy: mean < TOO_LATE_MS, message: `p99 ${worst} ms late`, latency: worst };
  }
}

async function timed(check: () => Promise<Finding> | Finding): Promise<Check> {
  const since = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => resolve({ healthy: false, message: `no answer within ${PATIENCE_MS} ms` }), PATIENCE_MS);
  });
  const asked = (async () => check())();
  const finding = await Promise.race([asked, patience]).catch((error: unknown) => ({
    healthy: false,
    message: (error as Error).message,
    latency: undefined,
  }));
  clearTimeout(timer);
  const took = Math.round((performance.now() - since) * 10) / 10;
  return { healthy: finding.healthy, message: finding.message, latency: finding.latency ?? took };
}

const SLOW_WRITE_MS = 5000;
const KEEP_MS = 500;
const PATIENCE_MS = 2000;
const RESOLUTION_MS = 20;
/** On average: nothing is answered in time any more. */
const TOO_LATE_MS = 500;
