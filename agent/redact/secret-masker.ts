import { CLASSES } from './byte-class.ts';
import type { Findings } from './findings.ts';
import { MASK } from './mask.ts';
import type { SecretSet } from './secrets.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Masks the secrets of one stream that are known by their text or shape. What may still become one is held until more
 * bytes tell.
 */
export class SecretMasker {
  readonly #secrets: SecretSet;
  /** The end of the stream so far, from the first byte on that is needed to understand what follows. No newline. */
  #kept = NOTHING;
  /** As many of its first bytes have left: as they are, or masked. */
  #gone = 0;
  /** As many of its first bytes are part of the mask that was written last. */
  #masked = 0;
  /** Class bits with which the mask that was written last goes on; then all kept bytes are part of it. */
  #tail = 0;

  constructor(secrets: SecretSet) {
    this.#secrets = secrets;
  }

  /** Whether anything is held back. */
  get holding(): boolean {
    return this.#kept.length > this.#gone;
  }

  /**
   * Takes the next bytes and returns what may leave. Overlapping secrets become one mask. If there is nothing to mask
   * and nothing was held, that is the block or the beginning of it, not a copy. Keeps no reference to the block.
   * `headroom`: so many bytes before the block may be written to; what was held then stands there.
   */
  push(block: Buffer, headroom = 0): Buffer {
    const text = joined(this.#kept, block, headroom);
    if (this.#tail !== 0) this.#continueMask(text);
    const findings = this.#secrets.find(text, false);
    return this.#leave(text, findings, findings.emitTo);
  }

  /** Nothing came for a while: lets go what is held, but of what may become a secret no more than its first 3 bytes. */
  release(): Buffer {
    if (!this.holding) return NOTHING;
    const findings = this.#secrets.find(this.#kept, false);
    return this.#leave(this.#kept, findings, findings.releaseTo);
  }

  /** The stream is over: returns what was held, masked where it is a secret. */
  end(): Buffer {
    this.#tail = 0;
    return this.#leave(this.#kept, this.#secrets.find(this.#kept, true), this.#kept.length);
  }

  /** Swallows the bytes behind #kept with which a token of open length goes on. */
  #continueMask(text: Buffer): void {
    let at = this.#kept.length;
    let tail = this.#tail;
    for (; at < text.length; at++) {
      const left = tail & CLASSES[text[at]];
      if (left === 0) break;
      tail = left;
    }
    this.#gone = this.#masked = at;
    this.#tail = at === text.length ? tail : 0;
  }

  /** Returns text up to `limit`, masked, and keeps what findings say. A secret that begins by then leaves as a whole. */
  #leave(text: Buffer, findings: Findings, limit: number): Buffer {
    const parts: Buffer[] = [];
    let at = this.#gone;
    let masked = this.#masked;
    for (const { start, end, tail } of findings.spans.sort((a, b) => a.start - b.start)) {
      const continues = start < masked;
      if (start > limit && !continues) break;
      this.#tail |= tail;
      if (end <= at) continue;
      if (start > at) parts.push(text.subarray(at, start));
      // Where bytes were let go since the mask, what follows them needs one of its own.
      if (!continues || at > masked) parts.push(MASK);
      at = masked = end;
    }
    if (at < limit) {
      parts.push(text.subarray(at, limit));
      at = limit;
    }
    const { keepFrom } = findings;
    // A copy: the block belongs to the caller, and a few bytes should not keep a large one alive.
    if (text !== this.#kept || keepFrom > 0) this.#kept = Buffer.from(text.subarray(keepFrom));
    this.#gone = at - keepFrom;
    this.#masked = Math.max(0, masked - keepFrom);
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }
}

/** Both behind each other: in front of the block itself, if there is the room, since copying a block costs much. */
function joined(kept: Buffer, block: Buffer, headroom: number): Buffer {
  if (kept.length === 0) return block;
  if (kept.length > headroom) return Buffer.concat([kept, block]);
  const text = Buffer.from(block.buffer, block.byteOffset - kept.length, kept.length + block.length);
  kept.copy(text);
  return text;
}
