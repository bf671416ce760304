import type { Batch, LinesEvent, ReadEvent } from '../../cursor.ts';
import { joinFrames } from '../frames.ts';
import { endMessage, gapMessage, linesJson, type Cursors } from './shape.ts';

/** How one subscription wants it; lines are rendered once for all whose style has the same key. */
export interface Style {
  /** Of what else is here, and of the store's epoch and the filter. */
  key: string;
  task: string;
  /** A frame holds an array of messages. */
  batch: boolean;
  cursors: Cursors;
}

/** The frames of a batch, in order; joined where that is for free. */
export function renderBatch({ events, joined }: Batch, style: Style): readonly Buffer[] {
  const render = (): Buffer[] => events.map((event) => renderEvent(event, style));
  return joined === undefined ? render() : joined.of(style.key, render);
}

function renderEvent(event: ReadEvent, style: Style): Buffer {
  if (event.type === 'lines') return renderLines(event, style);
  const message = event.type === 'gap' ? gapMessage(event, style) : endMessage(event, style.cursors);
  return messageFrames([JSON.stringify(message)], style.batch);
}

function renderLines(event: LinesEvent, style: Style): Buffer {
  const { key, batch, cursors } = style;
  return event.block.rendered(`${event.first}-${event.end} ${key}`, () => {
    return messageFrames(linesJson(event, { cursors, prefix: '"type":"log",' }), batch);
  });
}

/** The frames of messages that are JSON already: one each, or if a frame is to hold an array, few. */
export function messageFrames(messages: readonly string[], batch: boolean): Buffer {
  return joinFrames(batch ? groups(messages) : messages);
}

/** Arrays of messages, each of a size that a client takes well. */
function groups(messages: readonly string[]): string[] {
  const frames: string[] = [];
  let from = 0;
  let size = 0;
  messages.forEach((message, at) => {
    if (size > 0 && size + message.length > MAX_FRAME_CHARACTERS) {
      frames.push(`[${messages.slice(from, at).join(',')}]`);
      from = at;
      size = 0;
    }
    size += message.length;
  });
  if (from < messages.length) frames.push(`[${messages.slice(from).join(',')}]`);
  return frames;
}

const MAX_FRAME_CHARACTERS = 256 * 1024;
