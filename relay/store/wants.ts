import { CODEC_GAP, FLAG_METADATA, type ChunkHeader } from '../../shared/chunk.ts';
import type { Wants } from './store.ts';

/** Whether a chunk's body may hold a line that is wanted, as far as its header says. */
export function wantsBody(wants: Wants | undefined, header: ChunkHeader): boolean {
  if (header.codec === CODEC_GAP) return false;
  if (!wants) return true;
  if (wants.headersOnly) return false;
  if (wants.from !== undefined && header.maxTime < wants.from) return false;
  if (wants.to !== undefined && header.minTime > wants.to) return false;
  if (wants.metadata && (header.flags & FLAG_METADATA) === 0) return false;
  const { pairs } = wants;
  return pairs === undefined || header.counts.some((lines, pair) => lines > 0 && (pairs & (1 << pair)) !== 0);
}
