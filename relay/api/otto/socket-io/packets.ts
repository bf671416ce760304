import type { EndEvent, GapEvent, LinesEvent } from '../../../cursor.ts';
import { joinFrames } from '../../frames.ts';
import type { Progress } from '../progress.ts';
import { gapEntry, mapEntries, type LogEntry, type Worker } from '../shape.ts';
import { NAMESPACE } from './connection.ts';

/** Events of socket.io, ready to be sent: for a WebSocket its frames, else the text of each. */
export interface Packets {
  frames: () => Buffer;
  texts: () => string[];
}

/** What the bytes of lines depend on, besides the lines. */
export interface Style {
  filterKey: string;
  epoch: string;
  /** Writes cursors; each event has that of the line to go on from behind it. */
  cursors: (line: number) => string;
  /** Of a run whose lines these are. */
  workerOf: (run: string) => Worker | undefined;
}

/** A `log-entry` for each line. Frames are made once for all clients with this filter. */
export function linePackets(event: LinesEvent, style: Style): Packets {
  const texts = (): string[] => {
    const { firstLine } = event.block;
    return mapEntries(event, {
      workerOf: style.workerOf,
      make: (entry, index) => entryPacket(entry, style.cursors(firstLine + index + 1)),
    });
  };
  const key = `otto socket.io ${event.first}-${event.end} ${style.epoch} ${style.filterKey}`;
  return { texts, frames: () => event.block.rendered(key, () => toFrames(texts())) };
}

/** A `log-entry` that says what is missing; `now` in ms since 1970. */
export function gapPackets(gap: GapEvent, { task, now, cursors }: Said): Packets {
  const entry = gapEntry({ taskId: task, time: now, ...gap });
  return packetsOf([entryPacket(entry, cursors(gap.toLine + 1))]);
}

/** `stream-complete`: no run of the task is open. */
export function endPackets({ task }: EndEvent, { now, cursors }: Said): Packets {
  const body = {
    taskId: task.task,
    status: task.status,
    exitCode: task.exitCode,
    signal: task.signal,
    lines: task.lines,
    missing: task.missing,
    message: `The task has ended: ${task.status}.`,
    timestamp: new Date(now).toISOString(),
    cursor: cursors(task.nextLine),
  };
  return packetsOf([eventPacket('stream-complete', JSON.stringify(body))]);
}

/** A `pipeline-progress` for each. */
export function progressPackets(progress: readonly Progress[]): Packets {
  return packetsOf(progress.map((one) => eventPacket('pipeline-progress', JSON.stringify(one))));
}

interface Said {
  task: string;
  now: number;
  cursors: (line: number) => string;
}

/** The same lines in parts; `atOnce` says before each of them how many lines it may have. */
export function* partsOf(event: LinesEvent, atOnce: () => number): Generator<LinesEvent> {
  const { block, first, end, matches } = event;
  const count = matches?.length ?? end - first;
  for (let at = 0, stop = 0; at < count; at = stop) {
    stop = Math.min(at + atOnce(), count);
    const part = matches?.subarray(at, stop);
    const from = at === 0 ? first : part === undefined ? first + at : part[0];
    const behind = stop === count ? end : part === undefined ? first + stop : part[part.length - 1] + 1;
    yield { type: 'lines', block, first: from, end: behind, matches: part };
  }
}

function packetsOf(texts: string[]): Packets {
  return { texts: () => texts, frames: () => toFrames(texts) };
}

function entryPacket(entry: LogEntry, cursor: string): string {
  return eventPacket('log-entry', JSON.stringify(Object.assign(entry, { cursor })));
}

/** An event as socket.io's protocol 5 writes it: https://socket.io/docs/v4/socket-io-protocol/ */
function eventPacket(event: string, json: string): string {
  return `2${NAMESPACE},["${event}",${json}]`;
}

/** Each is a message of engine.io's protocol 4, and one frame. */
function toFrames(texts: readonly string[]): Buffer {
  return joinFrames(texts.map((text) => `4${text}`));
}
