import { levelOf, sourceOf } from '../../../shared/line.ts';
import type { GapEvent, LinesEvent } from '../../cursor.ts';
import { eachLine } from '../event-lines.ts';
import { gapText } from '../gap-text.ts';
import { iso } from '../iso.ts';
import type { ExportWriter } from './export.ts';

/**
 * RFC 4180, with `lineNumber,timestamp,source,level,message` as its first row. What a spreadsheet would run as a formula
 * gets a `'` in front. A gap is a row of the agent's, at its first missing line.
 */
export function csvExport(begin: number): ExportWriter {
  return tableExport(begin, {
    head: 'lineNumber,timestamp,source,level,message\r\n',
    row: ({ line, timestamp, source, level, message }) =>
      `${line},${timestamp},${source},${level},${cell(message)}\r\n`,
  });
}

/** `2026-01-02T03:04:05.678Z stdout INFO message`; a message of several lines goes on behind tabs. */
export function textExport(begin: number): ExportWriter {
  return tableExport(begin, {
    head: '',
    row: ({ timestamp, source, level, message }) => {
      const indented = message.includes('\n') ? message.replaceAll('\n', '\n\t') : message;
      return `${timestamp} ${source} ${level} ${indented}\n`;
    },
  });
}

interface Row {
  line: number;
  timestamp: string;
  source: string;
  level: string;
  message: string;
}

/** `begin`: what stands for the time of a gap ahead of all lines, ms; behind them it is that of the line before. */
function tableExport(begin: number, { head, row }: { head: string; row: (row: Row) => string }): ExportWriter {
  let time = begin;
  let timestamp = iso(begin);
  const at = (other: number): string => {
    if (other !== time) {
      time = other;
      timestamp = iso(other);
    }
    return timestamp;
  };
  const lines = (event: LinesEvent): string => {
    let text = '';
    eachLine(event, ({ lines: { text: bytes, starts, times, kinds } }, index) => {
      text += row({
        line: event.block.firstLine + index,
        timestamp: at(times[index]),
        source: sourceOf(kinds[index]),
        level: levelOf(kinds[index]),
        message: bytes.toString('utf8', starts[index], starts[index + 1] - 1),
      });
    });
    return text;
  };
  const gap = (missing: GapEvent): string =>
    row({ line: missing.fromLine, timestamp, source: 'agent', level: 'WARN', message: gapText(missing) });
  return { open: () => head, lines, gap, close: () => '' };
}

function cell(text: string): string {
  const guarded = FORMULA.test(text) ? `'${text}` : text;
  return QUOTED.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

const FORMULA = /^[=+\-@\t\r]/;
const QUOTED = /[",\r\n]/;
