import { setTimeout as delay } from 'node:timers/promises';
import { KerutaError } from '../../../../shared/errors.ts';
import { taskIdProblem } from '../../../../shared/task-id.ts';
import type { Caller } from '../../../caller.ts';
import type { Limits } from '../../../limits/limits.ts';
import type { Reader } from '../../../reader.ts';
import type { Senders } from '../../../senders/senders.ts';
import type { Worker, WorkerRun } from '../../../senders/worker-runs.ts';

/** The runs that one stream sends lines of, by worker and task. */
export class Targets {
  readonly #parts: TargetParts;
  readonly #joined = new Map<string, WorkerRun>();

  constructor(parts: TargetParts) {
    this.#parts = parts;
  }

  /**
   * The run of a worker's lines of a task. Waits while the caller begins too many runs, since known senders send nothing
   * again. Rejects with a KerutaError if the caller may not send the lines, or if they are of one task too many.
   */
  async of(task: string, worker: Worker): Promise<WorkerRun> {
    const { caller, senders, limits, reader } = this.#parts;
    const key = `${task}\n${worker.workerId}`;
    const joined = this.#joined.get(key);
    await admitTask(task, { caller, reader, labels: worker.labels });
    if (joined !== undefined) return joined;
    limits.task(caller.principal, task);
    if (senders.workers.find(task, worker.workerId) === undefined) await this.#countRun();
    if (this.#joined.size >= MAX_TARGETS) this.#leaveOldest();
    const run = senders.workers.of(task, worker);
    run.join();
    this.#joined.set(key, run);
    return run;
  }

  /** The stream is over, `finished` if its client has said so. A run that is left goes on for so long. */
  leave({ finished, afterMs }: { finished: boolean; afterMs: number }): void {
    for (const run of this.#joined.values()) run.leave({ finished, afterMs, now: this.#parts.senders.now() });
    this.#joined.clear();
  }

  async #countRun(): Promise<void> {
    const { caller, limits, gone: signal } = this.#parts;
    for (;;) {
      try {
        limits.run(caller.address);
        return;
      } catch (error) {
        if (!(error instanceof KerutaError) || error.retryAfterMs === undefined) throw error;
        // What it has sent before it went is little, and is all there will be.
        if (signal.aborted) return;
        await delay(error.retryAfterMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #leaveOldest(): void {
    const [key, run] = this.#joined.entries().next().value as [string, WorkerRun];
    this.#joined.delete(key);
    run.leave({ finished: false, afterMs: LEFT_MS, now: this.#parts.senders.now() });
  }
}

export interface TargetParts {
  caller: Caller;
  senders: Senders;
  limits: Limits;
  reader: Pick<Reader, 'task'>;
  /** Aborted when the stream has closed. */
  gone: AbortSignal;
}

/**
 * Rejects with a KerutaError unless the caller may write to the task: with the labels that it has, so that nobody's
 * task is taken over, and with those that it is to have.
 */
export async function admitTask(
  task: string,
  { caller: { principal }, reader, labels }: Pick<TargetParts, 'caller' | 'reader'> & Pick<Worker, 'labels'>,
): Promise<void> {
  const problem = taskIdProblem(task);
  if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}`);
  if (principal.may('ingest', { task })) return;
  principal.requireIfLabelled('ingest', task);
  const known = await reader.task(task);
  if (known !== undefined) principal.require('ingest', { task, labels: known.labels });
  principal.require('ingest', { task, labels: { ...known?.labels, ...labels } });
}

/** Of one stream at once: a handler's workers. */
const MAX_TARGETS = 1000;
/** Its lines may go on over the same stream. */
const LEFT_MS = 10 * 60 * 1000;
