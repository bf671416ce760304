/**
 * Follows the WebSocket frames that an agent sends (RFC 6455, section 5.2), and flips a bit in a chunk's bytes that its
 * CRC stands for: no TCP checksum finds that, and the relay has to. Control messages are JSON and have no checksum, so
 * nothing else is touched.
 */
export class ChunkFlip {
  #head: Buffer | undefined = Buffer.alloc(0);
  /** It turned out to be something else than an agent's link. */
  #off = false;
  /** Bytes of the current frame that are still to come, and whether they are a chunk's. */
  #left = 0;
  #isChunk = false;
  #at = 0;
  #size = 0;
  /** The beginning of a frame's header, cut off by the end of what came. */
  #rest: Buffer = Buffer.alloc(0);

  /** Whether a chunk may come this way. */
  get possible(): boolean {
    return !this.#off && this.#head === undefined;
  }

  /** Takes what the client sent, in order. With `flip`, changes it in place if it can, and says whether it did. */
  pass(data: Buffer, flip: boolean): boolean {
    if (this.#off) return false;
    let at = this.#skipHead(data);
    let flipped = false;
    while (at < data.length) {
      if (this.#left === 0) {
        at += this.#begin(data, at);
        continue;
      }
      const here = Math.min(this.#left, data.length - at);
      const first = Math.max(0, CRC_FROM - this.#at);
      if (flip && !flipped && this.#isChunk && this.#size >= LEAST_BYTES && first < here) {
        data[at + first + Math.floor((here - first) / 2)] ^= 1;
        flipped = true;
      }
      this.#left -= here;
      this.#at += here;
      at += here;
    }
    return flipped;
  }

  /** The request that opens the link stands ahead of all frames. Answers where they begin. */
  #skipHead(data: Buffer): number {
    if (this.#head === undefined) return 0;
    const before = this.#head.length;
    this.#head = Buffer.concat([this.#head, data]);
    const end = this.#head.indexOf('\r\n\r\n');
    const head = this.#head.toString('latin1');
    if (this.#head.length > MAX_HEAD_BYTES || (end !== -1 && !/^GET .*keruta\.chunk\.v1/is.test(head)))
      this.#off = true;
    if (end === -1 || this.#off) return data.length;
    this.#head = undefined;
    return end + 4 - before;
  }

  /** Reads a frame's header; answers how many bytes of `data` it took. */
  #begin(data: Buffer, at: number): number {
    const bytes = Buffer.concat([this.#rest, data.subarray(at, at + MAX_FRAME_HEADER_BYTES)]);
    const short = bytes.length > 1 ? bytes[1] & 0x7f : 0;
    const size = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + MASK_BYTES;
    if (bytes.length < 2 || bytes.length < size) {
      this.#rest = bytes;
      return data.length - at;
    }
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    const taken = size - this.#rest.length;
    this.#rest = Buffer.alloc(0);
    this.#left = this.#size = length;
    this.#at = 0;
    this.#isChunk = (bytes[0] & 0x0f) === OPCODE_BINARY;
    return taken;
  }
}

const OPCODE_BINARY = 2;
const MASK_BYTES = 4;
const MAX_FRAME_HEADER_BYTES = 14;
const MAX_HEAD_BYTES = 16 * 1024;
/** A chunk's CRC stands for all behind itself (shared/chunk.ts). */
const CRC_FROM = 8;
/** A chunk's header and something in it. */
const LEAST_BYTES = 100;
