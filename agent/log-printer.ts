import type { TaskEvent } from '../client/events.ts';
import type { LogMessage } from '../shared/viewer-messages.ts';

export interface PrintStyle {
  json: boolean;
  timestamps: boolean;
  color: boolean;
}

/** Text for the two outputs of a program. */
export interface Printed {
  out: string;
  err: string;
}

/**
 * Turns a log into text: all lines go to one output, as they stand, the pieces of a longer line joined; what is
 * missing is noted on the other one. As JSON each message is a line, pieces included, for which `more` and `rest` tell.
 */
export class LogPrinter {
  readonly #style: PrintStyle;
  /** Whose piece the output ends with, waiting for the rest of its line. */
  #open: string | undefined;

  constructor(style: PrintStyle) {
    this.#style = style;
  }

  print(event: TaskEvent): Printed {
    switch (event.type) {
      case 'log':
        return { out: this.#style.json ? `${JSON.stringify(event)}\n` : this.#line(event), err: '' };
      case 'gap':
        if (this.#style.json) return { out: `${JSON.stringify(event)}\n`, err: '' };
        return { out: this.finish(), err: `--- ${missing(event.toLine - event.fromLine + 1)} (${event.reason}) ---\n` };
      case 'end':
        if (this.#style.json) return { out: `${JSON.stringify(event)}\n`, err: '' };
        if (event.verified) return { out: this.finish(), err: '' };
        return { out: this.finish(), err: '--- the relay could not verify that this log is complete ---\n' };
      default:
        return { out: '', err: '' };
    }
  }

  /** Ends a line whose rest has not come. */
  finish(): string {
    if (this.#open === undefined) return '';
    this.#open = undefined;
    return '\n';
  }

  #line(line: LogMessage): string {
    const { color, timestamps } = this.#style;
    const whose = `${line.run ?? ''} ${line.source}`;
    const joins = line.rest === true && this.#open === whose;
    const before = joins ? '' : this.finish() + (timestamps ? `${line.timestamp} ` : '');
    // Lines that bring colours of their own keep them.
    const paint = color && !line.message.includes('\x1b') ? COLORS[line.source] : '';
    const text = paint === '' ? line.message : `${paint}${line.message}\x1b[0m`;
    this.#open = line.more === true ? whose : undefined;
    return before + text + (line.more === true ? '' : '\n');
  }
}

function missing(lines: number): string {
  return lines === 1 ? '1 line missing' : `${lines} lines missing`;
}

/** The program's errors red, our own remarks grey. */
const COLORS = { stdout: '', stderr: '\x1b[31m', agent: '\x1b[90m' };
