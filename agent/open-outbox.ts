import { readdir } from 'node:fs';
import { promisify } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };
import type { AgentConfig } from '../shared/options/agent-options.ts';
import { startDelivery } from './delivery.ts';
import { Dialer, unverifiedWarning } from './dialer.ts';
import { inTime } from './in-time.ts';
import { linkOptions } from './link-options.ts';
import type { Delivery, Outbox, OutboxFigures } from './outbox.ts';
import type { Pacer } from './pacer.ts';
import { runOf, spoolsAmong } from './spool-folder.ts';
import { STALLED_AFTER_MS } from './spool-health.ts';

/** What only this run knows of itself. */
export interface RunOptions {
  run: string;
  startedAt: number;
  command: string;
  /** Masks secrets in what is recorded of the run. */
  mask: (text: string) => string;
  /** Where lines may leave only so fast. */
  pacer?: Pacer;
  onWarning: (text: string) => void;
  onCancel: (reason: string) => void;
}

/** The outbox that the configuration asks for. */
export function openOutbox(config: AgentConfig, { mask, command, ...run }: RunOptions): Outbox {
  if (!config.logStreamingEnabled || config.taskId === undefined) return new NoOutbox();
  const { taskId: task } = config;
  const dialing = linkOptions(config, process.env);
  const link = {
    ...dialing,
    websocketUrls: config.websocketUrls,
    dialer: new Dialer(dialing),
    spoolDir: config.spoolDir,
    pacer: run.pacer,
    onWarning: run.onWarning,
  };
  // Read while the relay is being connected to.
  const foundEarlier = hasEarlier(config.spoolDir, task, run.run);
  const unverified = unverifiedWarning(config, config.websocketUrls);
  if (unverified !== undefined) run.onWarning(unverified);
  return startDelivery({
    ...run,
    ...link,
    earlier: async (onProgress) => {
      if (!(await foundEarlier)) return;
      const { flushTask } = await import('./flush.ts');
      const { spoolMaxAgeMs } = config;
      await flushTask({ ...link, exceptRun: run.run, spoolMaxAgeMs, onExpired: run.onWarning, onProgress }, task);
    },
    task,
    taskName: config.taskName && mask(config.taskName),
    pipelineId: config.pipelineId && mask(config.pipelineId),
    workerId: mask(config.workerId),
    labels: Object.fromEntries(Object.entries(config.labels).map(([name, value]) => [name, mask(value)])),
    command: mask(command),
    agentVersion: packageJson.version,
    spoolLimitBytes: config.spoolLimitBytes,
    spoolAfterMs: SPOOL_AFTER_MS,
    overflow: config.overflow,
    memoryLimitBytes: config.memoryLimitBytes,
    bufferLines: config.bufferLines,
    drainTimeoutMs: config.drainTimeoutMs,
  });
}

/** A thread of its own and a database cost more than all else that a job does which ends sooner. */
const SPOOL_AFTER_MS = 100;

/**
 * Whether earlier runs of the task left something. A folder that can't be read is the spool's to complain about, and one
 * on a disk that hangs is not waited for.
 */
async function hasEarlier(folder: string, task: string, run: string): Promise<boolean> {
  try {
    const names = await inTime(promisify(readdir)(folder), STALLED_AFTER_MS, () => []);
    return spoolsAmong(folder, names, task).some((spool) => runOf(spool) !== run);
  } catch {
    return false;
  }
}

/** Log streaming is switched off: the script's output is masked and passed on, and that is all. */
class NoOutbox implements Outbox {
  readonly idle = false;
  readonly full = false;
  readonly unsentLines = 0;
  readonly figures: OutboxFigures = {
    disabled: true,
    connected: false,
    connections: 0,
    cuts: 0,
    unsentLines: 0,
    missingLines: 0,
    memoryBytes: 0,
    spooled: true,
  };
  onChange: () => void = () => undefined;

  put(): void {
    // Nobody asked for it.
  }

  end(): Promise<Delivery> {
    return Promise.resolve({ outcome: 'verified', unsentLines: 0, missingLines: 0 });
  }
}
