import type { Logger } from 'pino';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { ExpirySum } from './expiry-sum.ts';
import { WriteWatch } from './health.ts';
import { LostWatch } from './lost.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { Parts } from './parts.ts';
import { Retention } from './retention.ts';
import { StoreError } from './store/store.ts';
import type { StoreWatch } from './store-watch.ts';
import { agentLost, linesExpired } from './system-events.ts';
import type { SystemLog } from './system-log.ts';
import { SYSTEM_TASK } from './system-task.ts';
import type { Tail } from './tail.ts';

/**
 * What a store needs done to it every so often: runs whose agents fell silent are marked as lost, and what is too old
 * or too much is forgotten. Answers what is known of its writes by that, for health.
 */
export function startUpkeep({ config, store, tail, metrics, log, systemLog, onFatal, parts }: UpkeepParts): WriteWatch {
  const writes = new WriteWatch(() => store.waitingMs);
  const failed = (what: string) => (error: unknown) => {
    writes.failed(error);
    log.error({ err: error }, what);
    if (error instanceof StoreError && !error.retry) onFatal(error);
  };

  const lost = new LostWatch({
    lostAfterMs: config.lostAfterMs,
    // The relay's own run is there for as long as the relay is: it writes when there is something to say.
    markLost: (before, now) => store.markLost(before, now, SYSTEM_TASK),
    onWritten: () => writes.worked(),
    onLost: (run) => {
      metrics.lostAgent();
      log.warn(run, 'lost an agent');
      systemLog.say(agentLost(run));
    },
    onError: failed('could not look for lost agents'),
    now: Date.now,
  });
  lost.start();
  parts.started(() => lost.stop());

  const untold = new ExpirySum();
  const retention = new Retention({
    policy: {
      maxAgeMs: config.retentionMaxAgeMs,
      maxBytes: config.retentionMaxBytes,
      maxTaskBytes: config.retentionMaxTaskBytes,
      maxTaskLines: config.retentionMaxTaskLines,
    },
    expire: (policy, now) => store.expire(policy, now),
    onExpired: async (expired) => {
      metrics.expired(expired);
      if (expired.chunks === 0) return;
      log.info(expired, 'forgot lines that were too old or too many');
      const forgotten = untold.add(expired);
      if (forgotten !== undefined) systemLog.say(linesExpired(forgotten));
      await tail.forgetTrimmed();
    },
    onError: failed('could not forget old lines'),
    now: Date.now,
    clock: () => performance.now(),
    onJump: (ms) =>
      log.warn({ hours: Math.round(ms / 3_600_000) }, 'the clock has jumped ahead; nothing is too old for an hour'),
  });
  retention.start();
  parts.started(() => retention.stop());
  return writes;
}

interface UpkeepParts {
  config: RelayConfig;
  store: StoreWatch;
  tail: Tail;
  metrics: Metrics;
  log: Logger;
  systemLog: Pick<SystemLog, 'say'>;
  onFatal: (error: StoreError) => void;
  parts: Parts;
}
