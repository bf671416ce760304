import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Used } from '../processes.ts';
import type { Counted, PeerFigures, Restarted } from './figures.ts';

/** A sender, a receiver, and the same text from one to the other. */
export interface Pipeline {
  name: string;
  version: string;
  /** How it was set up, and what its figures do and don't hold. */
  note: string;
  /** Starts the receiver; nothing is sent yet. */
  open(run: Sending): Promise<OpenPipeline>;
}

export interface Sending {
  /** Empty, and for this run only. */
  folder: string;
  /** A file of numbered lines (`writeNumberedFile`). */
  text: string;
  lines: number;
}

export interface OpenPipeline {
  receiver: Side;
  send(): Promise<Side>;
  /** Different lines at the receiver so far. */
  arrived(): Promise<number>;
  /** Different lines that a receiver has kept which has ended. */
  kept(): Promise<number>;
  /** What is at the receiver when nothing more comes. */
  count(): Promise<Counted>;
}

/** One of the two programs. */
export interface Side {
  used: Used;
  /** Both resolve when it has ended; `stop` asks it to, and kills it if it does not. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** Starts it again, as it was started before, when it has ended. */
  again(): Promise<void>;
}

/**
 * Sends the text once undisturbed, and another one with the receiver stopped (unless `onlyKill`), and killed, in the
 * middle and started again.
 */
export async function measure(
  pipeline: Pipeline,
  {
    folder,
    text,
    lines,
    restarts,
    onlyKill,
  }: Sending & { restarts: { text: string; lines: number }; onlyKill: boolean },
): Promise<PeerFigures> {
  const open = async (name: string, what: { text: string; lines: number }) => {
    const own = join(folder, name);
    mkdirSync(own, { recursive: true });
    return pipeline.open({ ...what, folder: own });
  };

  const undisturbed = async (): Promise<PeerFigures['sent']> => {
    const opened = await open('whole', { text, lines });
    const start = performance.now();
    const sender = await opened.send();
    try {
      const seconds = ((await allArrived(opened, lines)) - start) / 1000;
      const { lost, duplicated } = await opened.count();
      if (lost + duplicated > 0) throw new Error(`${lost} of ${lines} lines were lost and ${duplicated} came twice`);
      return {
        linesPerSecond: lines / seconds,
        cpuSecondsPerMillion: ((sender.used.cpu + opened.receiver.used.cpu) * 1e6) / lines,
        senderRss: sender.used.peak,
        receiverRss: opened.receiver.used.peak,
      };
    } finally {
      await end(sender, opened.receiver);
    }
  };

  const disturbed = async (how: 'stop' | 'kill'): Promise<Restarted> => {
    const opened = await open(how, restarts);
    const sender = await opened.send();
    try {
      await until(opened, (arrived) => arrived >= MIDDLE * restarts.lines);
      await opened.receiver[how]();
      const kept = (await opened.kept()) / restarts.lines;
      await opened.receiver.again();
      await allArrived(opened, restarts.lines);
      // What is there may come again.
      await sleep(SETTLE_MS);
      return { ...(await opened.count()), kept };
    } finally {
      await end(sender, opened.receiver);
    }
  };

  const { name, version, note } = pipeline;
  const sent = await undisturbed();
  const restarted = onlyKill ? undefined : await disturbed('stop');
  return { name, version, note, sent, restarted, killed: await disturbed('kill') };
}

/** When the last line arrived (performance.now()), or the last that did. */
async function allArrived(opened: OpenPipeline, lines: number): Promise<number> {
  return until(opened, (arrived) => arrived >= lines);
}

/** Looks until that is so, or nothing has come for a while; resolves with when the last lines came. */
async function until(opened: OpenPipeline, enough: (arrived: number) => boolean): Promise<number> {
  let [arrived, at] = [-1, performance.now()];
  while (performance.now() - at < STALL_MS) {
    const now = await opened.arrived();
    if (now > arrived) [arrived, at] = [now, performance.now()];
    if (enough(now)) break;
    await sleep(LOOK_EVERY_MS);
  }
  return at;
}

async function end(sender: Side, receiver: Side): Promise<void> {
  await sender.stop();
  await receiver.stop();
}

/** Of the lines; while it is being stopped, more arrive. */
const MIDDLE = 0.25;
const LOOK_EVERY_MS = 10;
const SETTLE_MS = 1000;
/** Longer than anybody's pause before another attempt. */
const STALL_MS = 15_000;
