/** One message of a stream as it came. */
export type Frame = { bytes: Buffer; compressed: boolean } | { tooLarge: number };

/**
 * Cuts a stream of bytes into messages: 1 byte that says whether it is compressed, 4 bytes of length (big endian), the
 * message. What is larger than `maxBytes` is passed over as it comes, and takes no memory. Fed with bytes cut anywhere.
 */
export class FrameCutter {
  readonly #maxBytes: number;
  /** What is there of a frame that is not whole: its head, or head and a part of its body. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  /** How many bytes that frame has, head included; of a head that is not whole, the head. */
  #wanted = HEAD_BYTES;
  #skip = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether the stream would end within a message. */
  get within(): boolean {
    return this.#begunBytes > 0 || this.#skip > 0;
  }

  *cut(bytes: Buffer): Generator<Frame> {
    let rest = bytes;
    for (;;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, rest.length);
        this.#skip -= skipped;
        rest = rest.subarray(skipped);
      }
      if (rest.length === 0) return;
      const part = rest.subarray(0, this.#wanted - this.#begunBytes);
      rest = rest.subarray(part.length);
      this.#begun.push(part);
      this.#begunBytes += part.length;
      if (this.#begun.length > MAX_PARTS) this.#begun = [Buffer.concat(this.#begun)];
      if (this.#begunBytes < this.#wanted) continue;
      const whole = this.#begun.length === 1 ? this.#begun[0] : Buffer.concat(this.#begun);
      if (this.#wanted === HEAD_BYTES && whole.readUInt32BE(1) > 0) {
        const length = whole.readUInt32BE(1);
        if (length <= this.#maxBytes) {
          this.#begun = [whole];
          this.#wanted = HEAD_BYTES + length;
          continue;
        }
        this.#skip = length;
        yield { tooLarge: length };
      } else yield { bytes: whole.subarray(HEAD_BYTES), compressed: whole[0] !== 0 };
      this.#begun = [];
      this.#begunBytes = 0;
      this.#wanted = HEAD_BYTES;
    }
  }
}

/** A message as it goes out, uncompressed. */
export function frameOf(message: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const HEAD_BYTES = 5;
/** A message that comes byte by byte would take many times its size. */
const MAX_PARTS = 256;
