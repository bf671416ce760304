import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentLane } from './agent-lane.ts';
import { rest } from './stage.ts';
import type { Weather } from './weather.ts';

/** The small disks of a round, under the relay and under each spool. */
export interface Disks {
  relay: string;
  agents: readonly AgentLane[];
  /** The relay's disk is full at the moment, or was while the relay that runs was there. */
  relayWasFull: boolean;
  relayIsFull: boolean;
}

/** Fills the relay's disk or that of a spool up every so often, and makes room again. */
export async function troubleDisks(weather: Weather, disks: Disks): Promise<void> {
  const { plan, random, over, isOver, tally, pulse, inFlight } = weather;
  if (!plan.smallDisks) return;
  await weather.begun;
  while (!isOver()) {
    await rest(800 + random.below(1200), over);
    if (isOver()) break;
    const ms = 500 + random.below(1500);
    if (random.below(2) === 0) {
      tally.add({ kind: 'full', at: "relay's disk", inFlight: inFlight() });
      disks.relayIsFull = disks.relayWasFull = true;
      await full(disks.relay, ms, over);
      disks.relayIsFull = false;
      pulse.faultOver();
    } else {
      const lane = random.pick(disks.agents);
      tally.add({ kind: 'full', at: "spool's disk", inFlight: inFlight() });
      lane.diskFull(true);
      await full(lane.spoolFolder, ms, over);
      lane.diskFull(false);
      pulse.faultOver(lane.task);
    }
  }
}

async function full(folder: string, ms: number, over: AbortSignal): Promise<void> {
  const ballast = join(folder, 'ballast');
  const fd = openSync(ballast, 'w');
  try {
    fill(fd);
    await rest(ms, over);
  } finally {
    closeSync(fd);
    rmSync(ballast);
  }
}

/** Writes until nothing more fits, not a single page. */
function fill(fd: number): void {
  for (let piece = Buffer.alloc(256 * 1024); piece.length >= 4096; piece = piece.subarray(0, piece.length / 2)) {
    try {
      for (;;) writeSync(fd, piece);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}
