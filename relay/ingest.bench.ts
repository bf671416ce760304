import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { relayConfig } from './relay-config.fixture.ts';
import { startRelay } from './relay.ts';
import type { SendersResult, SendersTask } from './ingest.bench-senders.ts';

/** What a relay took in and how it felt meanwhile, after a second of warm-up. Its own store, on disk; senders in a
 * process of their own. */
export interface IngestBench {
  linesPerSecond: number;
  chunksPerSecond: number;
  /** Chunks that were sent and not acknowledged when the senders had waited for half a minute. */
  unacknowledged: number;
  ackP50Ms: number;
  ackP99Ms: number;
  /** Of the relay's event loop, beyond the timer's own interval. */
  eventLoopDelayP99Ms: number;
  /** CPU of the whole relay process, workers included. */
  cpuMicrosPerChunk: number;
}

/** 50 agents send chunks of 2,280 lines as fast as their windows allow. */
export function ingestFloodBench(seconds = 2): Promise<IngestBench> {
  return bench({ agents: 50, linesPerChunk: 2280, seconds });
}

/** 1,000 agents send 20 single-line chunks a second each. */
export function ingestManyBench(seconds = 2): Promise<IngestBench> {
  return bench({ agents: 1000, linesPerChunk: 1, seconds, chunksPerSecond: 20 });
}

async function bench(task: Omit<SendersTask, 'url'>): Promise<IngestBench> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-ingest-'));
  const relay = await startRelay(relayConfig({ dataDir: folder, logLevel: 'warn' }));
  const senders = fork(new URL('./ingest.bench-senders.ts', import.meta.url), { serialization: 'advanced' });
  try {
    senders.send({ ...task, url: relay.url.replace('http', 'ws') } satisfies SendersTask);
    await once(senders, 'message');
    senders.send('go');
    await once(senders, 'message');
    const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    delay.enable();
    const cpu = process.cpuUsage();
    const [result] = (await once(senders, 'message')) as [SendersResult];
    const used = process.cpuUsage(cpu);
    delay.disable();
    return {
      linesPerSecond: Math.round((result.measured * task.linesPerChunk) / result.seconds),
      chunksPerSecond: Math.round(result.measured / result.seconds),
      unacknowledged: result.sent - result.acknowledged,
      ackP50Ms: result.ackP50Ms,
      ackP99Ms: result.ackP99Ms,
      eventLoopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - DELAY_RESOLUTION_MS),
      cpuMicrosPerChunk: (used.user + used.system) / result.measured,
    };
  } finally {
    senders.kill();
    await relay.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const DELAY_RESOLUTION_MS = 1;
