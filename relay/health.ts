import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { DiskState } from './disk.ts';

/** How the relay is: asked by people, load balancers and Kubernetes, so often that asking must cost next to nothing. */
export class Health {
  readonly #checks: Record<string, () => Promise<Finding> | Finding>;
  #last: { at: number; report: Promise<HealthReport> } | undefined;

  constructor(checks: Record<string, () => Promise<Finding> | Finding>) {
    this.#checks = checks;
  }

  /** All checks, at most once in 500 ms; a check that takes 2 s is unhealthy. */
  report(): Promise<HealthReport> {
    const now = performance.now();
    if (this.#last === undefined || now - this.#last.at > KEEP_MS) this.#last = { at: now, report: this.#ask() };
    return this.#last.report;
  }

  async #ask(): Promise<HealthReport> {
    const names = Object.keys(this.#checks);
    const checks = await Promise.all(names.map((name) => timed(this.#checks[name])));
    return {
      status: checks.every((check) => check.healthy) ? 'healthy' : 'unhealthy',
      timestamp: new Date().toISOString(),
      checks: Object.fromEntries(names.map((name, i) => [name, checks[i]])),
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

/** Healthy if the store answers. */
export async function storeCheck(store: { nextPosition(): Promise<number> }): Promise<Finding> {
  await store.nextPosition();
  return { healthy: true, message: 'answers' };
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
    const late = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e5) / 10 - RESOLUTION_MS);
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

const KEEP_MS = 500;
const PATIENCE_MS = 2000;
const RESOLUTION_MS = 20;
/** On average: nothing is answered in time any more. */
const TOO_LATE_MS = 500;
