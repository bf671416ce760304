import type { Logger } from 'pino';
import type { ErrorMeter } from '../../http-errors.ts';
import type { Limits } from '../../limits/limits.ts';
import type { MergedReader } from '../../merged/merged-reader.ts';
import type { Store } from '../../store/store.ts';
import type { Connections } from './connections.ts';

/** What Stratal's API is made of: all of it is the relay's, and ends with it. */
export interface StratalParts {
  merged: Pick<MergedReader, 'place' | 'follow' | 'page' | 'epoch' | 'cursors'>;
  store: Pick<Store, 'task'>;
  /** Absent: none. */
  limits?: Pick<Limits, 'connect'>;
  meter: ErrorMeter;
  log: Pick<Logger, 'error'>;
  /** ms since 1970 */
  now: () => number;
}

export interface StreamParts extends Omit<StratalParts, 'store' | 'limits'> {
  connections: Connections;
}
