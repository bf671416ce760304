import type { Disks } from './disk-lane.ts';
import type { RelayHost } from './relay-host.ts';
import { rest } from './stage.ts';
import { arm, type Weather } from './weather.ts';

/** Lets one relay after the other live for a moment, with faults in it, and die of one or be restarted. */
export async function troubleRelay(weather: Weather, host: RelayHost, disks: Disks): Promise<void> {
  const { random, deck, over, isOver, tally, pulse, inFlight, say } = weather;
  const { victims, patient } = weather.plan;
  const spared = !victims.includes('relay');
  const patienceMs = patient ? Infinity : PATIENCE_MS;
  while (!isOver()) {
    const lifeMs = spared ? Infinity : 700 + random.below(1800) + host.startMs / 4;
    const isRestart = !spared && !patient && random.below(5) === 0;
    const cards = spared ? [] : deck.pauses('relay', 3);
    if (!spared && !isRestart) cards.push(deck.kill('relay'));
    const arms = cards.map((card) => arm(weather, card, { startMs: host.startMs, lifeMs }));
    disks.relayWasFull = disks.relayIsFull;
    try {
      if (!(await host.start(arms))) {
        say('the relay died while it started');
        continue;
      }
    } catch (error) {
      // It says so, and does not start: somebody has to make room first.
      if (!disks.relayWasFull) throw error;
      say(`the relay did not start on a full disk: ${(error as Error).message}`);
      await rest(200);
      continue;
    }
    weather.begin();
    pulse.faultOver();
    await Promise.race([host.gone(), rest(Math.min(2 ** 30, lifeMs + (isRestart ? 0 : patienceMs)), over)]);
    if (host.ending === undefined && !isOver()) {
      // The point was not met: then it ends where it is.
      tally.add({ kind: isRestart ? 'restart' : 'kill', at: 'relay', inFlight: inFlight() });
      host.signal(isRestart ? 'SIGTERM' : 'SIGKILL');
    } else if (host.ending === undefined) host.signal('SIGTERM');
    await host.gone();
    const { code, signal } = host.ending ?? {};
    if (signal !== 'SIGKILL' && code !== 0 && !disks.relayWasFull) {
      throw new Error(`the relay ended by itself, with ${signal ?? `code ${code}`}: ${lastOf(host.said)}`);
    }
    say(`the relay is gone: ${signal ?? `code ${code}`}`);
    host.forget();
  }
}

function lastOf(said: string): string {
  return said.trim().split('\n').slice(-3).join('\n');
}

/** How much longer it may take until the point is met at which it is to die. */
const PATIENCE_MS = 1500;
