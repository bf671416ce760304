import type { ExportWriter } from './export.ts';
import { gapJson, linesJson, type Cursors } from './shape.ts';

/** One array of lines as lists show them; for what is missing `{"gap":{"fromLine","toLine","reason"}}`. */
export function jsonExport(cursors: Cursors): ExportWriter {
  let before = '\n';
  const element = (json: string): string => {
    const separated = before + json;
    before = ',\n';
    return separated;
  };
  return {
    open: () => '[',
    lines: (event) => element(linesJson(event, { cursors }).join(',\n')),
    gap: (gap) => element(JSON.stringify({ gap: gapJson(gap) })),
    close: () => '\n]\n',
  };
}

/** The same, an object a line. */
export function ndjsonExport(cursors: Cursors): ExportWriter {
  return {
    open: () => '',
    lines: (event) => `${linesJson(event, { cursors }).join('\n')}\n`,
    gap: (gap) => `${JSON.stringify({ gap: gapJson(gap) })}\n`,
    close: () => '',
  };
}
