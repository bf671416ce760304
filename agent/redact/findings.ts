/** Bytes of a possible secret that may be let go so that a prompt shows. */
export const LET_GO_BYTES = 3;

/** A secret, whole or so far as it is known, or several that overlap: text[start .. end). */
interface Span {
  start: number;
  end: number;
  /** Class bits (byte-class.ts). If not 0 the span reaches the end of the text and goes on while bytes are of them. */
  tail: number;
}

/** What was found in a text: its secrets, and from where on more bytes must come before anything can be said. */
export class Findings {
  /** In no order; some may overlap. */
  readonly spans: Span[] = [];
  /** No byte will follow the text: nothing is undecided. */
  readonly ended: boolean;
  /** What stands before is never looked at again. */
  keepFrom: number;
  /** What stands before may leave now; at least keepFrom. */
  emitTo: number;
  /** What stands before may leave after a while; at least emitTo. */
  releaseTo: number;

  constructor(length: number, ended: boolean) {
    this.ended = ended;
    this.keepFrom = this.emitTo = this.releaseTo = length;
  }

  secret(start: number, end: number, tail = 0): void {
    const last = this.spans.at(-1);
    if (last && start < last.end && last.start < end) {
      // Joined at once, so that a line of nothing but overlapping secrets does not make a span for every byte.
      last.start = Math.min(last.start, start);
      last.end = Math.max(last.end, end);
      last.tail |= tail;
    } else {
      this.spans.push({ start, end, tail });
    }
  }

  /** More bytes decide what stands at `keepFrom`; if it is a secret, it begins at `emitTo`. */
  undecided(keepFrom: number, emitTo = keepFrom, releaseTo = emitTo + LET_GO_BYTES): void {
    if (this.ended) return;
    this.keepFrom = Math.min(this.keepFrom, keepFrom);
    this.emitTo = Math.min(this.emitTo, emitTo);
    this.releaseTo = Math.min(this.releaseTo, releaseTo);
  }
}
