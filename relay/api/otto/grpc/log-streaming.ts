import type { UntypedServiceImplementation, ServiceDefinition } from '@grpc/grpc-js';
import { KerutaError } from '../../../../shared/errors.ts';
import { newUlid } from '../../../../shared/ulid.ts';
import type { Caller } from '../../../caller.ts';
import { SESSION_IDLE_MS, type Worker } from '../../../senders/worker-runs.ts';
import { refuseSystemTask } from '../../../system-task.ts';
import type { Answer } from './answers.ts';
import type { Calls, EntryMethod } from './calls.ts';
import { pipelineOf } from './entry.ts';
import type { GrpcParts } from './grpc-parts.ts';
import { podLabelsOf } from './pod.ts';
import type {
  AnswerMessage,
  LogEntryMessage,
  RegistrationResponseMessage,
  WorkerRegistrationMessage,
} from './messages.ts';
import { Registrations, type Session } from './registrations.ts';
import type { Codec } from './services.ts';
import { admitTask } from './targets.ts';

/** LogStreamingService: workers register, and send their logs by themselves. */
export class LogStreaming {
  readonly #parts: GrpcParts;
  readonly #codec: Codec<LogEntryMessage, AnswerMessage>;
  readonly #registrations: Registrations;

  constructor(parts: GrpcParts, service: ServiceDefinition) {
    this.#parts = parts;
    this.#codec = service.StreamLogs;
    const { senders, config, now } = parts;
    this.#registrations = new Registrations({ runs: senders.workers, max: config.maxConnections, now });
  }

  methods(calls: Calls): UntypedServiceImplementation {
    return {
      RegisterWorker: calls.unary((request: WorkerRegistrationMessage, caller) => this.#register(request, caller)),
      StreamLogs: calls.entries((caller) => this.#stream(caller)),
    };
  }

  async #register(
    { worker_id: workerId, task_id: task, metadata }: WorkerRegistrationMessage,
    caller: Caller,
  ): Promise<RegistrationResponseMessage> {
    checkWorker(workerId, task);
    const { senders, limits, reader, now, config } = this.#parts;
    const labels = podLabelsOf(metadata);
    const pipelineId = pipelineOf(labels);
    refuseSystemTask(task, pipelineId);
    await admitTask(task, { caller, reader, labels });
    const loggingConfig = {
      rate_limit: Math.min(MAX_INT32, config.taskLinesPerSecond),
      buffer_size: BUFFER_SIZE,
      max_message_size: config.maxMessageBytes,
      include_metadata: true,
    };
    const known = this.#registrations.find(workerId);
    if (known !== undefined)
      return { status: 'ALREADY_REGISTERED', message: '', session_id: known.id, config: loggingConfig };
    limits.task(caller.principal, task);
    const id = newUlid(now());
    if (this.#registrations.open(workerId, { id, labels }) === undefined) {
      const message = `${this.#registrations.size} workers are registered already`;
      return { status: 'SERVER_FULL', message, config: loggingConfig };
    }
    const run = senders.workers.of(task, { workerId, caller, run: id, registered: true, labels, pipelineId });
    // A worker that registers anew begins anew.
    run.result = undefined;
    if (run.streams === 0) run.until = now() + SESSION_IDLE_MS;
    // In the background: if the store can't do it now, the first entry opens the run, or is refused.
    run.sender.start().catch((error: unknown) => {
      const shown = senders.failed(error);
      this.#parts.log.debug({ code: shown.code, task, workerId }, 'the run of a worker was not opened yet');
    });
    return { status: 'SUCCESS', message: '', session_id: id, config: loggingConfig };
  }

  #stream(caller: Caller): EntryMethod<LogEntryMessage> {
    let tied: { workerId: string; session: Session } | undefined;
    const senderOf = (entry: LogEntryMessage): Worker | Answer => {
      if (tied === undefined) {
        const { worker_id: workerId } = entry;
        const session = this.#registrations.find(workerId);
        if (session === undefined) return { status: 'DROP', message: `Worker ${shown(workerId)} not registered` };
        session.streams++;
        tied = { workerId, session };
      }
      const { workerId, session } = tied;
      session.usedAt = this.#parts.now();
      // Its run may not be in the store yet, by whose labels the token may be bound.
      return { workerId, caller, labels: session.labels, pipelineId: pipelineOf(entry.metadata) };
    };
    return {
      ...{ codec: this.#codec, senderOf, idleMs: SESSION_IDLE_MS },
      sequence: () => tied?.session,
      onClosed: () => {
        if (tied === undefined) return;
        tied.session.streams--;
        tied.session.usedAt = this.#parts.now();
      },
    };
  }
}

/** Throws a KerutaError INVALID_INPUT that says what is missing or wrong. */
export function checkWorker(workerId: string, task: string): void {
  if (workerId === '') throw new KerutaError('INVALID_INPUT', 'worker_id is required');
  if (task === '') throw new KerutaError('INVALID_INPUT', 'task_id is required');
  if (workerId.length > MAX_WORKER_CHARACTERS)
    throw new KerutaError(
      'INVALID_INPUT',
      `worker_id has ${workerId.length} characters; ${MAX_WORKER_CHARACTERS} are allowed`,
    );
}

/** Answers are kept for clients that don't read them. */
function shown(workerId: string): string {
  return workerId.length <= MAX_WORKER_CHARACTERS ? workerId : `${workerId.slice(0, MAX_WORKER_CHARACTERS)}…`;
}

/** As in an agent's hello. */
export const MAX_WORKER_CHARACTERS = 1024;
const MAX_INT32 = 0x7fff_ffff;
/** Entries that a worker may have unanswered: a recommendation, HTTP/2's window decides. */
const BUFFER_SIZE = 1000;
