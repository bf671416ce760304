import type { LogPart, LogSource } from './log-source.ts';
import { gapEntry, mapEntries, type LogEntry } from './shape.ts';

/** How one stream wants its lines; they are rendered once for all whose style is the same. */
export interface SseStyle {
  source: LogSource;
  filterKey: string;
  /** Lines come as unnamed messages, for clients who listen to no others. */
  unnamed: boolean;
}

/** The events of a part, each with the cursor behind it; `time` (ms since 1970) is when it is said. */
export function logFrames(part: Exclude<LogPart, { type: 'end' }>, style: SseStyle, time: number): Buffer {
  const { source, unnamed, filterKey } = style;
  const cursors = source.cursors();
  const name = unnamed ? '' : 'event: log\n';
  // JSON has no line ends.
  const frame = (entry: LogEntry, behind: number): string =>
    `${name}data: ${JSON.stringify(entry)}\nid: ${cursors(behind)}\n\n`;
  if (part.type === 'gap') return Buffer.from(frame(gapEntry({ ...part, time }), part.behind));
  const { lines, origin } = part;
  const { block, first, end } = lines;
  const key = `otto sse ${source.kind} ${unnamed ? 'unnamed' : 'named'} ${first}-${end} ${source.epoch()} ${filterKey}`;
  return block.rendered(key, () => {
    const frames = mapEntries(lines, {
      workerOf: (run) => source.worker(block.task, run),
      make: (entry, index) => frame(entry, origin + index + 1),
    });
    return Buffer.from(frames.join(''));
  });
}
