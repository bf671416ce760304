import type { Compacted } from './compact.ts';
import { bytesInWords, counted } from './words.ts';

/** What `compact` prints. */
export function compactedText({ before, after, chunksBefore, chunksAfter, lackedBytes }: Compacted): string {
  const said =
    `${bytesInWords(before)} before, ${bytesInWords(after)} after; ` +
    `${counted(chunksBefore, 'chunk')} before, ${chunksAfter.toLocaleString('en-US')} after\n`;
  if (lackedBytes === undefined) return said;
  return (
    `${said}Free pages were given back. Writing the file anew, which makes it smaller still, takes ` +
    `${bytesInWords(lackedBytes)} of free disk: make room and call it again.\n`
  );
}
