import type fc from 'fast-check';

/**
 * How long a property is hunted: `fc.assert(property, hunt(500))`. The same cases every time, so that a failure is one of
 * the change that was just made; the environment asks for more, or for one case again:
 *
 *     FUZZ_RUNS=50    fifty times as many cases
 *     FUZZ_SEED=7     others (`FUZZ_SEED=time`: others each time)
 *     FUZZ_PATH=3:1   with a seed, the case that a failure named (`seed: …, path: "…"`)
 *
 * What was found goes into `examples`, which come first each time.
 */
export function hunt<T>(runs: number, examples: T[] = []): fc.Parameters<T> {
  const { FUZZ_RUNS: times = '1', FUZZ_SEED: seed = '20260102', FUZZ_PATH: path } = process.env;
  const replay = path === undefined ? {} : { path, endOnFailure: true };
  return { numRuns: Math.ceil(runs * positive(times)), seed: seedOf(seed), examples, ...replay };
}

function positive(text: string): number {
  const times = Number(text);
  if (!(times > 0)) throw new Error(`FUZZ_RUNS=${text}: a number above 0 is expected`);
  return times;
}

function seedOf(text: string): number {
  const seed = text === 'time' ? Date.now() | 0 : Number(text);
  if (!Number.isInteger(seed)) throw new Error(`FUZZ_SEED=${text}: a whole number is expected, or "time"`);
  return seed;
}
