const SIGN = '#'.charCodeAt(0);
const DIGITS = 8;
const ZERO = '0'.charCodeAt(0);

/** Counts numbered lines (`writeNumberedFile`) in bytes that may be cut anywhere, in whatever they are wrapped. */
export class Tally {
  /** Different lines, and how often one came again. */
  arrived = 0;
  duplicated = 0;
  readonly #seen: Uint8Array;
  #rest: Buffer = Buffer.alloc(0);

  constructor(lines: number) {
    this.#seen = new Uint8Array(lines);
  }

  get lost(): number {
    return this.#seen.length - this.arrived;
  }

  push(data: Buffer): void {
    const bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    let from = 0;
    for (let at = bytes.indexOf(SIGN); at !== -1; at = bytes.indexOf(SIGN, from)) {
      if (at + 1 + DIGITS > bytes.length) {
        from = at;
        break;
      }
      from = at + 1;
      this.#count(numberAt(bytes, from));
    }
    // At most a number that has begun; without a sign, nothing.
    this.#rest = bytes.indexOf(SIGN, from) === -1 ? Buffer.alloc(0) : Buffer.from(bytes.subarray(from));
  }

  #count(number: number | undefined): void {
    if (number === undefined || number >= this.#seen.length) return;
    if (this.#seen[number] === 1) this.duplicated++;
    else this.arrived++;
    this.#seen[number] = 1;
  }
}

/** Undefined: what stands there is no number of eight digits. */
function numberAt(bytes: Buffer, at: number): number | undefined {
  let number = 0;
  for (let i = at; i < at + DIGITS; i++) {
    const digit = bytes[i] - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    number = number * 10 + digit;
  }
  return number;
}
