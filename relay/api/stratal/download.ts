import type { MergedBatch, MergedEvent } from '../../merged/merged-event.ts';
import { gapText } from '../gap-text.ts';
import { downloadLine, downloadLines, logType } from './shape.ts';

/** A text of all lines, part after part; a gap is a line of its own, at the time of the line before it. */
export async function* downloadParts(
  batches: AsyncIterable<MergedBatch>,
  now: () => number,
): AsyncGenerator<Buffer, void, undefined> {
  let time: number | undefined;
  for await (const { events } of batches) {
    let text = '';
    for (const event of events) {
      if (event.type === 'lines') time = event.block.header?.maxTime ?? time;
      text += textOf(event, time ?? now());
    }
    if (text !== '') yield Buffer.from(text);
  }
}

function textOf(event: MergedEvent, time: number): string {
  switch (event.type) {
    case 'lines':
      return downloadLines(event);
    case 'gap': {
      const type = event.task === undefined ? 'system' : logType(event.task);
      return downloadLine({ time, type, level: 'warn', stream: 'system' }, gapText(event));
    }
    case 'end':
      return '';
  }
}
