import packageJson from '../package.json' with { type: 'json' };
import type { AgentConfig } from '../shared/options/agent-options.ts';
import { startDelivery } from './delivery.ts';
import type { Delivery, Outbox } from './outbox.ts';
import { listSpools } from './spool-folder.ts';
import { takeWarmSpool } from './warm-spool.ts';

/** What only this run knows of itself. */
export interface RunOptions {
  run: string;
  startedAt: number;
  command: string;
  /** Masks secrets in what is recorded of the run. */
  mask: (text: string) => string;
  onWarning: (text: string) => void;
  onCancel: (reason: string) => void;
}

/** The outbox that the configuration asks for. */
export function openOutbox(config: AgentConfig, { mask, command, ...run }: RunOptions): Outbox {
  if (!config.logStreamingEnabled || config.taskId === undefined) return new NoOutbox();
  const bearer = config.authType === 'bearer';
  const { taskId: task } = config;
  const link = {
    websocketUrl: config.websocketUrl,
    token: bearer ? config.authToken : undefined,
    apiKey: bearer ? undefined : config.apiKey,
    spoolDir: config.spoolDir,
    reconnectMinMs: config.reconnectMinMs,
    reconnectMaxMs: config.reconnectMaxMs,
    maxReconnectAttempts: config.maxReconnectAttempts,
    connectTimeoutMs: config.websocketTimeoutMs,
    pingAfterMs: config.heartbeatIntervalMs,
    goneAfterMs: config.websocketTimeoutMs,
    onWarning: run.onWarning,
    now: () => Date.now(),
  };
  return startDelivery({
    ...run,
    spool: takeWarmSpool(),
    ...link,
    earlier: hasSpools(config.spoolDir, task)
      ? async (onProgress) => {
          const { flushTask } = await import('./flush.ts');
          await flushTask({ ...link, exceptRun: run.run, onProgress }, task);
        }
      : undefined,
    task,
    taskName: config.taskName && mask(config.taskName),
    pipelineId: config.pipelineId,
    workerId: config.workerId,
    labels: Object.fromEntries(Object.entries(config.labels).map(([name, value]) => [name, mask(value)])),
    command: mask(command),
    agentVersion: packageJson.version,
    spoolLimitBytes: config.spoolLimitBytes,
    overflow: config.overflow,
    memoryLimitBytes: config.memoryLimitBytes,
    drainTimeoutMs: config.drainTimeoutMs,
  });
}

/** Whether earlier runs of the task left something. A folder that can't be read is the spool's to complain about. */
function hasSpools(folder: string, task: string): boolean {
  try {
    return listSpools(folder, task).length > 0;
  } catch {
    return false;
  }
}

/** Log streaming is switched off: the script's output is masked and passed on, and that is all. */
class NoOutbox implements Outbox {
  readonly idle = false;
  readonly full = false;
  readonly unsentLines = 0;
  onChange: () => void = () => undefined;

  put(): void {
    // Nobody asked for it.
  }

  end(): Promise<Delivery> {
    return Promise.resolve({ outcome: 'verified', unsentLines: 0, missingLines: 0 });
  }
}
