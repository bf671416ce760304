import { stripVTControlCharacters } from 'node:util';

/** More lines in a second than anybody reads: what comes beyond them is a flood. */
export const LINES_PER_SECOND = 20;
/** The last lines of a flood, which are shown when it is over. */
export const KEPT_LINES = 3;
/** It is over when nothing came for this long. */
export const OVER_AFTER_MS = 250;
const ERASE_LINE = '\r\u001b[K';

/**
 * What a person gets to see of a log: all of it while it can be read, and of a flood its beginning, its end and how
 * much lies between. On a terminal as the script wrote it; plain, without colours and with a line that was drawn over
 * and over only as it was at last.
 */
export class Screen {
  readonly #plain: boolean;
  /** The line whose end has not come, and how much of it stands on the screen. */
  #open = '';
  #openShown = 0;
  #secondSince = -Infinity;
  #shownInSecond = 0;
  #lastLineAt = -Infinity;
  #hidden = 0;
  #kept: string[] = [];
  #counting = false;

  constructor(options: { plain: boolean }) {
    this.#plain = options.plain;
  }

  /** Takes text of the log; what is to be printed. `now` in ms. */
  write(text: string, now: number): string {
    const lines = (this.#open + text).split('\n');
    this.#open = lines.pop() ?? '';
    let out = '';
    for (const line of lines) out += this.#line(line, now);
    if (this.#plain || this.#hidden > 0) return out;
    const more = this.#open.slice(this.#openShown);
    this.#openShown = this.#open.length;
    return out + more;
  }

  /** To be called several times a second. */
  tick(now: number): string {
    if (this.#hidden === 0) return '';
    if (now - this.#lastLineAt >= OVER_AFTER_MS) return this.#endFlood();
    if (this.#plain) return '';
    this.#counting = true;
    return `${ERASE_LINE}… ${this.#hidden.toLocaleString('en')} more lines`;
  }

  /** The log is over. */
  finish(): string {
    const rest = this.#open.slice(this.#openShown);
    const ends = this.#open === '' ? '' : `${this.#shape(rest)}\n`;
    this.#open = '';
    this.#openShown = 0;
    return this.#endFlood() + ends;
  }

  #line(line: string, now: number): string {
    const rest = this.#shape(line.slice(this.#openShown));
    this.#openShown = 0;
    const before = now - this.#lastLineAt >= OVER_AFTER_MS ? this.#endFlood() : '';
    this.#lastLineAt = now;
    if (this.#hidden === 0 && now - this.#secondSince >= 1000) {
      this.#secondSince = now;
      this.#shownInSecond = 0;
    }
    if (this.#hidden === 0 && this.#shownInSecond < LINES_PER_SECOND) {
      this.#shownInSecond++;
      return `${before}${rest}\n`;
    }
    this.#hidden++;
    this.#kept.push(rest);
    if (this.#kept.length > KEPT_LINES) this.#kept.shift();
    return before;
  }

  #endFlood(): string {
    if (this.#hidden === 0) return '';
    const between = this.#hidden - this.#kept.length;
    const note = between === 0 ? '' : `… ${between.toLocaleString('en')} more lines, counted and not shown …\n`;
    const out = `${this.#counting ? ERASE_LINE : ''}${note}${this.#kept.map((line) => `${line}\n`).join('')}`;
    this.#hidden = 0;
    this.#kept = [];
    this.#counting = false;
    return out;
  }

  #shape(line: string): string {
    return this.#plain ? stripVTControlCharacters(line.slice(line.lastIndexOf('\r') + 1)) : line;
  }
}
