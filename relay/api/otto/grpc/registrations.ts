import type { WorkerRuns } from '../../../senders/worker-runs.ts';
import { SESSION_IDLE_MS } from '../../../senders/worker-runs.ts';

/**
 * The workers that have registered. One is forgotten when nothing was heard of it for 30 minutes and no stream of it is
 * open. A registration outlives the relay's process as long as the run is open that it began, which bears its id.
 */
export class Registrations {
  readonly #options: RegistrationsOptions;
  /** By worker id; the one that was used last stands last. */
  readonly #sessions = new Map<string, Session>();

  constructor(options: RegistrationsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The session of a worker that has registered. */
  find(workerId: string): Session | undefined {
    const { runs, now } = this.#options;
    let session = this.#sessions.get(workerId);
    if (session !== undefined && this.#idle(session)) session = undefined;
    const left = session === undefined ? runs.registeredRunOf(workerId) : undefined;
    if (left !== undefined) session = { id: left.run, labels: left.labels, last: 0, streams: 0, usedAt: 0 };
    if (session === undefined) return undefined;
    session.usedAt = now();
    this.#sessions.delete(workerId);
    this.#sessions.set(workerId, session);
    return session;
  }

  /** Begins a session, whose id is a run's; undefined if there are too many workers that may still send. */
  open(workerId: string, { id, labels }: Pick<Session, 'id' | 'labels'>): Session | undefined {
    for (const [oldest, session] of this.#sessions) {
      if (!this.#idle(session)) break;
      this.#sessions.delete(oldest);
    }
    if (this.#sessions.size >= this.#options.max && !this.#forgetOne()) return undefined;
    const session: Session = { id, labels, last: 0, streams: 0, usedAt: this.#options.now() };
    this.#sessions.set(workerId, session);
    return session;
  }

  /** A worker that is through makes room for another one. */
  #forgetOne(): boolean {
    for (const [workerId, { streams }] of this.#sessions) {
      if (streams > 0 || this.#options.runs.registeredRunOf(workerId) !== undefined) continue;
      return this.#sessions.delete(workerId);
    }
    return false;
  }

  #idle({ streams, usedAt }: Session): boolean {
    return streams === 0 && this.#options.now() - usedAt >= SESSION_IDLE_MS;
  }
}

export interface Session {
  id: string;
  /** What its worker says of its pod. */
  labels: Readonly<Record<string, string>>;
  /** The number of its last entry. */
  last: number;
  /** Streams of it that are open. */
  streams: number;
  usedAt: number;
}

interface RegistrationsOptions {
  runs: Pick<WorkerRuns, 'registeredRunOf'>;
  max: number;
  /** ms since 1970 */
  now: () => number;
}
