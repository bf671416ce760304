import { randomBytes } from 'node:crypto';
import { ERRORS, KerutaError, type ErrorCode } from '../shared/errors.ts';
import { PEER_GONE_AFTER_MS } from '../shared/wire.ts';
import type { AgentSocket } from './agent-socket.ts';
import type { Caller } from './caller.ts';
import type { Wire } from './heartbeat.ts';
import { HttpLinkSocket } from './http-link-socket.ts';

/** The agents that come over HTTP. Each session is forgotten when nothing was heard of it for 30 s. */
export class HttpLinkSessions {
  readonly #options: { agents: HttpLinkAgents; limits?: HttpLinkLimits };
  readonly #sessions = new Map<string, HttpLinkSession>();
  /** What hellos were answered, by their sender, task and key; the oldest first. */
  readonly #opened = new Map<string, Promise<Opened>>();

  constructor(options: { agents: HttpLinkAgents; limits?: HttpLinkLimits }) {
    this.#options = options;
  }

  /**
   * Begins one with the agent's first message. Rejects with a KerutaError if it is sent away. The same `key` gets the
   * same answer: a proxy may send a request twice, and the second would fence the first.
   */
  async open(caller: Caller, task: string, hello: string, key?: string): Promise<Opened> {
    if (key === undefined) return this.#begin(caller, task, hello);
    const name = JSON.stringify([caller.principal.name, task, key]);
    const before = this.#opened.get(name);
    if (before !== undefined) return before;
    const opening = this.#begin(caller, task, hello);
    this.#opened.set(name, opening);
    opening.catch(() => this.#opened.delete(name));
    for (const oldest of this.#opened.keys()) {
      if (this.#opened.size <= MAX_SESSIONS) break;
      this.#opened.delete(oldest);
    }
    return opening;
  }

  async #begin(caller: Caller, task: string, hello: string): Promise<Opened> {
    const { agents, limits } = this.#options;
    if (this.#sessions.size >= MAX_SESSIONS)
      throw new KerutaError('WEBSOCKET_CONNECTION_FAILED', `There are ${MAX_SESSIONS} agents over HTTP already.`);
    const release = limits?.connect({ address: caller.address, kind: 'agent', task });
    const id = randomBytes(16).toString('hex');
    const socket = new HttpLinkSocket();
    if (release !== undefined) socket.once('close', release);
    const connection = agents.accept(socket, socket, task, caller);
    const session = new HttpLinkSession(socket, {
      owner: caller.principal.name,
      task,
      settled: () => connection.settled(),
      onOver: () => this.#sessions.delete(id),
    });
    this.#sessions.set(id, session);
    const messages = await session.exchange(async () => {
      await socket.receive(Buffer.from(hello), false);
      await socket.sent();
    });
    return { id, messages };
  }

  /** Throws a KerutaError IDLE for one that is not, or no more: the agent begins another one. */
  find({ principal }: Caller, { taskId, session: id }: { taskId: string; session: string }): HttpLinkSession {
    const session = this.#sessions.get(id);
    if (session === undefined || session.task !== taskId || session.owner !== principal.name)
      throw new KerutaError('IDLE', 'There is no such session, or no more.');
    return session;
  }

  stop(): void {
    for (const session of this.#sessions.values()) session.close();
  }
}

interface Opened {
  id: string;
  messages: string[];
}

/** One agent's requests, which come one after the other. */
export class HttpLinkSession {
  readonly socket: HttpLinkSocket;
  readonly owner: string;
  readonly task: string;
  readonly #parts: SessionParts;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: HttpLinkSocket, parts: SessionParts) {
    this.socket = socket;
    this.owner = parts.owner;
    this.task = parts.task;
    this.#parts = parts;
  }

  /**
   * One request: `feed` brings what is in it. Resolves with the messages for the agent once all that came is settled.
   * Rejects with a KerutaError if the agent is sent away, and there are none.
   */
  async exchange(feed: (socket: HttpLinkSocket) => Promise<void>): Promise<string[]> {
    const { socket } = this;
    if (this.#busy) throw new KerutaError('OVERLOADED', 'Another request of this session is under way.');
    this.#busy = true;
    clearTimeout(this.#timer);
    try {
      socket.requested();
      await feed(socket);
      await Promise.race([this.#parts.settled(), socket.closed]);
    } catch (error) {
      // What was cut is sent again, in another session.
      this.close();
      throw error;
    } finally {
      this.#busy = false;
      // After a close too: the next request shall hear why.
      this.#timer = setTimeout(() => this.close(), PEER_GONE_AFTER_MS).unref();
    }
    const messages = socket.take();
    if (messages.length > 0 || socket.readyState === OPEN) return messages;
    this.close();
    throw closingError(socket);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.socket.terminate();
    this.#parts.onOver();
  }
}

/** Who takes over the agents' connections. */
export interface HttpLinkAgents {
  accept(socket: AgentSocket, wire: Wire, task: string, caller: Caller): Settling;
}

interface Settling {
  /** Resolves when the store has answered all that came until now, and that was said. */
  settled(): Promise<void>;
}

export interface HttpLinkLimits {
  /** Throws a KerutaError if it is one too many; the answer is to be called once it has closed. */
  connect(connecting: { address: string; kind: 'agent'; task: string }): () => void;
}

interface SessionParts {
  /** The name of the principal whose session it is. */
  owner: string;
  task: string;
  settled: () => Promise<void>;
  onOver: () => void;
}

/** Why a socket was closed, as an answer to a request. */
function closingError({ closing }: HttpLinkSocket): KerutaError {
  const { code = 0, reason = 'The session has ended.' } = closing ?? {};
  const found = (Object.keys(ERRORS) as ErrorCode[]).find((name) => ERRORS[name].close === code);
  return new KerutaError(USUAL[code] ?? found ?? 'IDLE', reason);
}

/** Of the errors that share a close code, the one that ingest means. */
const USUAL: Partial<Record<number, ErrorCode>> = {
  [ERRORS.INVALID_MESSAGE_FORMAT.close]: 'INVALID_MESSAGE_FORMAT',
  [ERRORS.OVERLOADED.close]: 'OVERLOADED',
};

const OPEN = 1;
/** Each holds a few hundred bytes; what it may bring is bounded elsewhere. */
const MAX_SESSIONS = 10_000;
