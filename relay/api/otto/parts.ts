import type { Logger } from 'pino';
import type { RelayConfig } from '../../../shared/options/relay-options.ts';
import type { Door } from '../../auth/door.ts';
import type { Sessions } from '../../auth/sessions.ts';
import type { Health } from '../../health.ts';
import type { Limits } from '../../limits/limits.ts';
import type { MergedReader } from '../../merged/merged-reader.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { PipelineWatch } from '../../pipelines/pipeline-watch.ts';
import type { Reader } from '../../reader.ts';
import type { RunFacts } from '../../run-facts.ts';
import type { Senders } from '../../senders/senders.ts';
import type { Store } from '../../store/store.ts';
import type { TlsFiles } from '../../tls.ts';

/** What Otto's APIs are made of: all of it is the relay's, and ends with it. */
export interface OttoParts {
  reader: Reader;
  merged: MergedReader;
  pipelines: PipelineWatch;
  runFacts: RunFacts;
  senders: Senders;
  store: Store;
  door: Door;
  limits: Limits;
  sessions: Sessions;
  tls: TlsFiles | undefined;
  config: RelayConfig;
  health: Pick<Health, 'report'>;
  meter: Metrics;
  log: Logger;
  /** ms since 1970 */
  now: () => number;
  /** Connections that are open of the whole relay, over all transports. */
  connections: () => number;
}
