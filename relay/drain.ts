/**
 * After how many ms one of `count` who are sent away shall come back: at random, over a time that grows with their
 * number, so that the relay which follows is not stormed.
 */
export function returnAfterMs(count: number, random: () => number = Math.random): number {
  const windowMs = Math.min(MAX_WINDOW_MS, Math.max(MIN_WINDOW_MS, count * EACH_MS));
  return Math.round(SOONEST_MS + random() * windowMs);
}

/** No restart is faster. */
const SOONEST_MS = 100;
/** So many a second come back: an upgrade and a hello take a millisecond or so. */
const EACH_MS = 5;
const MIN_WINDOW_MS = 200;
const MAX_WINDOW_MS = 5000;
