import type { LogBatch, LogPart, LogSource } from './log-source.ts';
import { gapEntry, mapEntries, type LogEntry } from './shape.ts';

/** How one stream wants its lines; they are rendered once for all whose style is the same. */
export interface SseStyle {
  source: LogSource;
  filterKey: string;
  /** Lines come as unnamed messages, for clients who listen to no others. */
  unnamed: boolean;
}

/** The bytes of a batch but for its end, in order; `time` as for `logFrames`. */
export function batchFrames({ parts, joined }: LogBatch, style: SseStyle, time: number): readonly Buffer[] {
  const render = (): Buffer[] => parts.flatMap((part) => (part.type === 'end' ? [] : [logFrames(part, style, time)]));
  // What is said of a gap bears the time at which it is said.
  if (joined === undefined || parts.some(({ type }) => type !== 'lines')) return render();
  return joined.of(keyOf(style), render);
}

/** The events of a part, each with the cursor behind it; `time` (ms since 1970) is when it is said. */
export function logFrames(part: Exclude<LogPart, { type: 'end' }>, style: SseStyle, time: number): Buffer {
  const { source, unnamed } = style;
  const cursors = source.cursors();
  const name = unnamed ? '' : 'event: log\n';
  // JSON has no line ends.
  const frame = (entry: LogEntry, behind: number): string =>
    `${name}data: ${JSON.stringify(entry)}\nid: ${cursors(behind)}\n\n`;
  if (part.type === 'gap') return Buffer.from(frame(gapEntry({ ...part, time }), part.behind));
  const { lines, origin } = part;
  const { block, first, end } = lines;
  return block.rendered(`${first}-${end} ${keyOf(style)}`, () => {
    const frames = mapEntries(lines, {
      workerOf: (run) => source.worker(block.task, run),
      make: (entry, index) => frame(entry, origin + index + 1),
    });
    return Buffer.from(frames.join(''));
  });
}

function keyOf({ source, unnamed, filterKey }: SseStyle): string {
  return `otto sse ${source.kind} ${unnamed ? 'unnamed' : 'named'} ${source.epoch()} ${filterKey}`;
}
