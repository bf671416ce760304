import { Session } from 'node:inspector/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What shows where a process's time and memory go. Each of these slows it down, or stops it for a moment. */

/** Collects garbage: bytes of the heap in use before and after. */
export function collectGarbage(): { before: number; after: number; ms: number } {
  const before = getHeapStatistics().used_heap_size;
  const since = performance.now();
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  setFlagsFromString('--no-expose-gc');
  const ms = Math.round(performance.now() - since);
  return { before, after: getHeapStatistics().used_heap_size, ms };
}

/** A CPU profile as V8's tools read it (`.cpuprofile`). Ends early when `gone` aborts. */
export async function profileCpu(seconds: number, gone: AbortSignal): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await delay(seconds * 1000, undefined, { signal: gone }).catch((error: unknown) => {
      if (!gone.aborted) throw error;
    });
    const { profile } = await session.post('Profiler.stop');
    return JSON.stringify(profile);
  } finally {
    session.disconnect();
  }
}

/** How long to profile, as a query says it: whole seconds within the limits, or undefined for what is none. */
export function profileSeconds(text: unknown): number | undefined {
  if (text === undefined || text === null) return DEFAULT_SECONDS;
  const seconds = typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : 0;
  return seconds >= 1 && seconds <= MAX_PROFILE_SECONDS ? seconds : undefined;
}

const DEFAULT_SECONDS = 30;
/** Below what proxies wait for an answer. */
export const MAX_PROFILE_SECONDS = 60;
