import { FLAG_CR, FLAG_PIECES } from '../../../shared/chunk.ts';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_REST, KIND_SOURCE_MASK } from '../../../shared/line.ts';
import type { LinesEvent } from '../../cursor.ts';
import { eachLine, linesOf } from '../event-lines.ts';
import { gapText } from '../gap-text.ts';
import type { ExportWriter } from './export.ts';

/**
 * The bytes that were written, as far as lines tell: with the `\r` before a line end, pieces joined, and no line end
 * behind a last line that had none. What comes between the pieces of a line, or behind a line without end, starts on a
 * line of its own, so that no line is glued to another's. A gap is a line of its own, too: `[gap: … missing: …]`.
 */
export function plainExport(): ExportWriter {
  const joint = new Joint();
  return {
    open: () => '',
    lines: (event) => (isStraight(event) && !joint.open ? copyOf(event) : piecewise(event, joint)),
    gap: (gap) => `${joint.close().toString()}${gapText(gap)}\n`,
    close: () => '',
  };
}

/** Whether the text is in the block just as it is to be written. */
function isStraight({ block, matches }: LinesEvent): boolean {
  return matches === undefined && block.header !== undefined && (block.header.flags & (FLAG_CR | FLAG_PIECES)) === 0;
}

function copyOf(event: LinesEvent): Buffer {
  const { text, starts } = linesOf(event);
  return text.subarray(starts[event.first], starts[event.end]);
}

function piecewise(event: LinesEvent, joint: Joint): Buffer {
  const parts: Buffer[] = [];
  eachLine(event, ({ lines: { text, starts, kinds } }, index) => {
    const kind = kinds[index];
    const run = event.block.runAt(index);
    if (!joint.goesOn(kind, run)) parts.push(joint.close());
    const end = starts[index + 1];
    const isOpen = (kind & (KIND_MORE | KIND_NO_EOL)) !== 0;
    if (!isOpen && (kind & KIND_CR) === 0) parts.push(text.subarray(starts[index], end));
    else {
      parts.push(text.subarray(starts[index], end - 1));
      if ((kind & KIND_CR) !== 0) parts.push(CR);
      if (!isOpen) parts.push(LF);
    }
    joint.after(isOpen ? { kind, run } : undefined);
  });
  return Buffer.concat(parts);
}

/** The end of what is written so far, where that is no line end. */
class Joint {
  #piece: { kind: number; run: string } | undefined;

  get open(): boolean {
    return this.#piece !== undefined;
  }

  /** Whether a line belongs right behind what is written. */
  goesOn(kind: number, run: string): boolean {
    const piece = this.#piece;
    if (piece === undefined || (piece.kind & KIND_MORE) === 0 || (kind & KIND_REST) === 0) return false;
    return piece.run === run && ((piece.kind ^ kind) & KIND_SOURCE_MASK) === 0;
  }

  after(piece: { kind: number; run: string } | undefined): void {
    this.#piece = piece;
  }

  /** The line end that is missing before something else, if one is. */
  close(): Buffer {
    const { open } = this;
    this.#piece = undefined;
    return open ? LF : NOTHING;
  }
}

const CR = Buffer.from('\r');
const LF = Buffer.from('\n');
const NOTHING = Buffer.alloc(0);
