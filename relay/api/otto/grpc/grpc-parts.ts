import type { OttoParts } from '../parts.ts';

/** What of Otto's parts its gRPC services need. */
export type GrpcParts = Pick<
  OttoParts,
  'reader' | 'senders' | 'door' | 'limits' | 'sessions' | 'tls' | 'config' | 'log' | 'now'
> & {
  meter: Pick<OttoParts['meter'], 'entriesAnswered' | 'failed'>;
  /** For how long a stop waits for what was received to be stored and answered. */
  stopPatienceMs?: number;
};
