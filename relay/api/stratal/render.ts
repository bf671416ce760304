import type { MergedBatch, MergedEvent, MergedLines } from '../../merged/merged-event.ts';
import { joinFrames } from '../frames.ts';
import { sseEvent } from '../sse.ts';
import { eachMessage, gapMessage } from './shape.ts';

/** How a stream is written; lines are rendered once for all streams of one style. */
export interface Style {
  /** `places`: a WebSocket whose messages bear the place behind them as their last member, `cursor`. */
  kind: 'websocket' | 'places' | 'sse';
  epoch: string;
  cursors: (position: number) => string;
  /** When gaps are told, ms since 1970. */
  now: () => number;
}

/** The bytes of what a merged stream hands out, in order. Its end is none of Stratal's words. */
export function render({ events, joined }: MergedBatch, style: Style): readonly Buffer[] {
  // What is said of a gap bears the time at which it is said.
  if (joined === undefined || events.some(({ type }) => type !== 'lines')) return renderEvents(events, style);
  return joined.of(`stratal ${style.kind} ${style.epoch}`, () => renderEvents(events, style));
}

function renderEvents(events: readonly MergedEvent[], style: Style): Buffer[] {
  const parts: Buffer[] = [];
  for (const event of events) {
    if (event.type === 'lines') parts.push(renderLines(event, style));
    if (event.type === 'gap')
      parts.push(joined([message(gapMessage(event, style.now()), event.toPosition, style)], style));
  }
  return parts;
}

/** One message as the stream has it; `position` is that of its line. */
export function renderMessage(json: string, position: number, style: Style): Buffer {
  return joined([message(json, position, style)], style);
}

function renderLines(event: MergedLines, style: Style): Buffer {
  const { block, first, end, task } = event;
  // A task may get another name while it is read, and another group.
  const key = `stratal ${style.kind} ${first}-${end} ${style.epoch} ${JSON.stringify([task.name, task.group])}`;
  return block.rendered(key, () => {
    const messages: string[] = [];
    eachMessage(event, (json, position) => messages.push(message(json, position, style)));
    return joined(messages, style);
  });
}

function message(json: string, position: number, { kind, cursors }: Style): string {
  switch (kind) {
    case 'websocket':
      return `${json}\n`;
    case 'places':
      return `${json.slice(0, -1)},"cursor":"${cursors(position + 1)}"}\n`;
    case 'sse':
      return sseEvent({ event: 'log', data: json, id: cursors(position + 1) });
  }
}

function joined(messages: readonly string[], { kind }: Style): Buffer {
  return kind === 'sse' ? Buffer.from(messages.join('')) : joinFrames(messages);
}
