import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Caller } from '../../../caller.ts';
import { CANCELLED, FAILED, SUCCEEDED } from '../../../senders/sent-run.ts';
import type { StatusUpdate } from '../../../senders/task-status.ts';
import { SESSION_IDLE_MS, type Worker } from '../../../senders/worker-runs.ts';
import type { Answer } from './answers.ts';
import type { Calls, EntryMethod } from './calls.ts';
import { pipelineOf } from './entry.ts';
import type { GrpcParts } from './grpc-parts.ts';
import { checkWorker, MAX_WORKER_CHARACTERS } from './log-streaming.ts';
import type { AnswerMessage, StatusAckMessage, StatusNotificationMessage, WorkerLogEntryMessage } from './messages.ts';
import { podLabelsOf } from './pod.ts';
import type { Codec } from './services.ts';
import { admitTask } from './targets.ts';

/** OttoHandlerLogService: handlers pass on what their workers say, and how they come out. */
export class HandlerLogs {
  readonly #parts: GrpcParts;
  readonly #codec: Codec<WorkerLogEntryMessage, AnswerMessage>;

  constructor(parts: GrpcParts, service: ServiceDefinition) {
    this.#parts = parts;
    this.#codec = service.ForwardWorkerLogs;
  }

  methods(calls: Calls): UntypedServiceImplementation {
    return {
      ForwardWorkerLogs: calls.entries((caller) => this.#forward(caller)),
      NotifyWorkerStatus: calls.unary((request: StatusNotificationMessage, caller) => this.#notify(request, caller)),
    };
  }

  #forward(caller: Caller): EntryMethod<WorkerLogEntryMessage> {
    const session = { last: 0 };
    const senderOf = ({ worker_id: workerId, pod_metadata: pod, metadata }: WorkerLogEntryMessage): Worker | Answer => {
      if (workerId.length > MAX_WORKER_CHARACTERS) return { status: 'DROP', message: 'worker_id is too long' };
      const labels = podLabelsOf(pod);
      return { workerId, caller, labels, pipelineId: pipelineOf(metadata) ?? pipelineOf(labels) };
    };
    const { lostAfterMs: graceMs } = this.#parts.config;
    return { codec: this.#codec, senderOf, sequence: () => session, idleMs: SESSION_IDLE_MS, graceMs };
  }

  async #notify(notification: StatusNotificationMessage, caller: Caller): Promise<StatusAckMessage> {
    const { worker_id: workerId, task_id: task, status, reason, metadata } = notification;
    checkWorker(workerId, task);
    const { senders, limits, reader } = this.#parts;
    await admitTask(task, { caller, reader });
    const effect = typeof status === 'number' ? undefined : EFFECTS[status];
    if (effect === undefined) return { status: 'IGNORED', message: `There is no status ${status}` };
    senders.admit();
    try {
      limits.task(caller.principal, task);
      const message = reason === '' ? null : reason.slice(0, MAX_REASON_CHARACTERS).toWellFormed();
      const worker = { workerId, caller, pipelineId: pipelineOf(metadata) };
      const changed = await senders.workers.status(task, worker, { effect, note: { message } });
      return changed
        ? { status: 'RECEIVED', message: '' }
        : { status: 'IGNORED', message: 'The worker is through already' };
    } catch (error) {
      throw senders.failed(error);
    }
  }
}

const EFFECTS: Record<string, StatusUpdate['effect'] | undefined> = {
  CREATED: 'pending',
  RUNNING: 'running',
  COMPLETED: SUCCEEDED,
  FAILED,
  TERMINATED: CANCELLED,
};
const MAX_REASON_CHARACTERS = 4096;
