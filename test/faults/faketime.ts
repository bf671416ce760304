import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Weather } from './weather.ts';

/** Debian's faketime, if it is there: it bends what the system says, beneath Node. */
const IS_THERE = (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'faketime')));

/** How to start a program whose whole clock is wrong by hours, now and then where clocks jump; else as it is. */
export function wrongTime({ plan, random, tally, inFlight }: Weather): {
  under: string[];
  env: Record<string, string>;
} {
  if (!IS_THERE || !plan.clockJumps || random.below(3) > 0) return { under: [], env: {} };
  const hours = random.below(23) - 11;
  tally.add({ kind: 'faketime', at: 'clock', inFlight: inFlight() });
  // Timers go by the steady clock, and so do the storm's own.
  return {
    under: ['faketime', '-f', `${hours < 0 ? '' : '+'}${hours}h`],
    env: { FAKETIME_DONT_FAKE_MONOTONIC: '1' },
  };
}
