/**
 * A line of the benchmark carries when it was written, by which script, and its number:
 *
 *     @@1767323045678.123#07:00001234
 *     mark, time in ms   #script:number
 */
export interface Mark {
  time: number;
  script: number;
  number: number;
}

const SIGN = Buffer.from('@@');
const SHAPE = /^@@(\d{13}\.\d{3})#(\d\d):(\d{8})$/;
export const MARK_LENGTH = '@@1767323045678.123#07:00001234'.length;

/** The expression, in JavaScript, that makes the mark of line `n` now; for scripts that run as programs of their own. */
export function markExpression(script: number, n: string): string {
  const number = String(script).padStart(2, '0');
  return `'@@' + (performance.timeOrigin + performance.now()).toFixed(3) + '#${number}:' + String(${n}).padStart(8, '0')`;
}

/** What stands at a place where a MarkFinder has found one. */
export function readMark(bytes: Buffer, at: number): Mark {
  const text = bytes.toString('latin1', at, at + MARK_LENGTH);
  const parts = SHAPE.exec(text);
  if (parts === null) throw new Error(`a line came damaged: ${JSON.stringify(text)}`);
  return { time: Number(parts[1]), script: Number(parts[2]), number: Number(parts[3]) };
}

/** Finds marks in a stream of bytes that may be cut anywhere. */
export class MarkFinder {
  readonly #each: (bytes: Buffer, at: number) => void;
  #rest: Buffer | undefined;

  /** `each` is told where each mark stands; the bytes are only there during the call. */
  constructor(each: (bytes: Buffer, at: number) => void) {
    this.#each = each;
  }

  push(data: Buffer): void {
    const bytes = this.#rest === undefined ? data : Buffer.concat([this.#rest, data]);
    let from = 0;
    for (let at = bytes.indexOf(SIGN); at !== -1; at = bytes.indexOf(SIGN, from)) {
      if (at + MARK_LENGTH > bytes.length) {
        from = at;
        break;
      }
      this.#each(bytes, at);
      from = at + MARK_LENGTH;
    }
    // A sign may come in two parts, too.
    const rest = bytes.subarray(Math.max(from, bytes.length - (MARK_LENGTH - 1)));
    this.#rest = rest.length === 0 ? undefined : Buffer.from(rest);
  }
}
