import type { Piece } from '../store/pieces.ts';

/**
 * Follows the pieces of all chunks, which come in the order of their first positions, and finds those that share a
 * position. Merged chunks reach over others: what is left of them waits until it is its turn.
 */
export class PositionAudit {
  /** Of chunks that are under way, the piece with the lowest position first: a binary heap. */
  readonly #heap: Waiting[] = [];
  readonly #report: (position: number) => void;
  #next = 0;

  constructor(report: (position: number) => void) {
    this.#report = report;
  }

  add(pieces: readonly Piece[]): void {
    this.#takeBefore(pieces[0].position);
    this.#push({ pieces, at: 0 });
  }

  /** The position behind the last one. To be called behind the last chunk. */
  finish(): number {
    this.#takeBefore(Infinity);
    return this.#next;
  }

  #takeBefore(position: number): void {
    for (;;) {
      const first = this.#heap.at(0);
      if (first === undefined || startOf(first) >= position) return;
      const piece = first.pieces[first.at];
      if (piece.position < this.#next) this.#report(piece.position);
      this.#next = Math.max(this.#next, piece.position + piece.count);
      this.#pop();
      if (first.at + 1 < first.pieces.length) this.#push({ pieces: first.pieces, at: first.at + 1 });
    }
  }

  #push(waiting: Waiting): void {
    const heap = this.#heap;
    let at = heap.push(waiting) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (startOf(heap[parent]) <= startOf(waiting)) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = waiting;
  }

  #pop(): void {
    const heap = this.#heap;
    const moved = heap.pop();
    if (moved === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const child = left + 1 < heap.length && startOf(heap[left + 1]) < startOf(heap[left]) ? left + 1 : left;
      if (startOf(heap[child]) >= startOf(moved)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moved;
  }
}

interface Waiting {
  pieces: readonly Piece[];
  at: number;
}

function startOf({ pieces, at }: Waiting): number {
  return pieces[at].position;
}
