/**
 * The body of a request on an agent's link over HTTP (wire.ts): frames behind each other, as a WebSocket would carry
 * them.
 *
 *     0        4     5
 *     ├────────┼─────┼───────────────┤
 *     │ length │ kind│ payload …     │   length: of the payload, u32 little-endian; kind: 0 text, 1 binary
 *     └────────┴─────┴───────────────┘
 */
export const LINK_CONTENT_TYPE = 'application/vnd.keruta.link';

const HEADER_BYTES = 5;
const KINDS = ['text', 'binary'] as const;

export interface LinkFrame {
  kind: (typeof KINDS)[number];
  payload: Buffer;
}

/** The bytes of a frame, to be sent one behind the other: its header and what is in it. */
export function encodeLinkFrame(frame: Buffer | string): Buffer[] {
  const payload = typeof frame === 'string' ? Buffer.from(frame) : frame;
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32LE(payload.length, 0);
  header[4] = typeof frame === 'string' ? 0 : 1;
  return [header, payload];
}

/** Finds frames in bytes that come in any pieces. Holds no more than one of them. */
export class LinkFrameReader {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** `maxBytes`: of a payload. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The frames that are complete with these bytes. Throws an Error for a header that can't be. */
  *push(bytes: Buffer): Generator<LinkFrame> {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    for (;;) {
      if (this.#bytes < HEADER_BYTES) return;
      const header = this.#join(HEADER_BYTES);
      const length = header.readUInt32LE(0);
      const kind = (KINDS as readonly (LinkFrame['kind'] | undefined)[])[header[4]];
      if (kind === undefined) throw new Error(`bad frame: kind: is ${header[4]}`);
      if (length > this.#maxBytes) throw new Error(`bad frame: length: is ${length}, over ${this.#maxBytes}`);
      if (this.#bytes < HEADER_BYTES + length) return;
      const whole = this.#join(HEADER_BYTES + length);
      this.#pieces[0] = whole.subarray(HEADER_BYTES + length);
      this.#bytes -= HEADER_BYTES + length;
      yield { kind, payload: whole.subarray(HEADER_BYTES, HEADER_BYTES + length) };
    }
  }

  /** No more bytes come. Throws an Error if that cuts a frame. */
  end(): void {
    if (this.#bytes > 0) throw new Error('bad frame: the body ends within it');
  }

  /** The first piece, once it has so many bytes. */
  #join(bytes: number): Buffer {
    if (this.#pieces[0].length < bytes) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0];
  }
}
