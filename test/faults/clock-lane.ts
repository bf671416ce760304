import { setClock } from './clock.ts';
import { rest } from './stage.ts';
import type { Weather } from './weather.ts';

const HOUR_MS = 3_600_000;

/** Lets the wall clock of all programs jump, hours ahead and back; then it is right again. */
export async function troubleClock(weather: Weather): Promise<void> {
  const { plan, random, over, isOver, tally, pulse, inFlight, clock } = weather;
  setClock(clock, 0);
  if (!plan.clockJumps) return;
  await weather.begun;
  while (!isOver()) {
    await rest(500 + random.below(2500), over);
    if (isOver()) break;
    const ahead = random.below(2) === 0;
    tally.add({ kind: ahead ? 'ahead' : 'back', at: 'clock', inFlight: inFlight() });
    setClock(clock, (ahead ? 1 : -1) * (1 + random.below(12 * HOUR_MS)));
    pulse.faultOver();
  }
  setClock(clock, 0);
}
