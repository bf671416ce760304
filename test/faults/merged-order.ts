import type { Sighting, Verdict } from './contract.ts';
import type { Seen } from './evidence.ts';

/**
 * Checks that those who read several tasks as one saw their lines in one order, which is the store's: whoever saw most
 * is taken at their word, and the others must not contradict them. Problems go into the reader's own verdict.
 */
export function judgeMerged(readers: readonly Seen[], verdicts: readonly Verdict[]): void {
  const merged = readers.filter(({ tasks }) => tasks.length > 1);
  const [first, ...others] = [...merged].sort((a, b) => b.seen.length - a.seen.length);
  if (others.length === 0) return;
  const order = new Map<string, number>();
  for (const [at, sighting] of first.seen.entries()) {
    const key = keyOf(sighting);
    // What a sender has sent twice has two places, and can't be told apart.
    if (key !== undefined) order.set(key, order.has(key) ? NaN : at);
  }
  for (const reader of others) {
    let last = -1;
    for (const sighting of reader.seen) {
      const at = order.get(keyOf(sighting) ?? '');
      if (at === undefined || Number.isNaN(at)) continue;
      if (at < last && sighting.type === 'line') {
        const line = JSON.stringify(sighting.text.slice(0, 100));
        verdicts[readers.indexOf(reader)].problems.push(
          `${reader.name}: task ${sighting.task}, ${line}: ${first.name} saw it in another order`,
        );
        break;
      }
      last = at;
    }
  }
}

/** Lines that nothing else is like: those with a head. */
function keyOf(sighting: Sighting): string | undefined {
  return sighting.type === 'line' && sighting.text.startsWith('<') ? sighting.text : undefined;
}
