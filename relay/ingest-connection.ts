import { ERRORS, KerutaError, type ErrorCode } from '../shared/errors.ts';
import { parseAgentMessage, type AgentMessage, type Hello } from '../shared/agent-message.ts';
import { type RelayMessage } from '../shared/relay-message.ts';
import { MAX_CONTROL_BYTES, MAX_TEXT_CHARACTERS, PING_AFTER_MS } from '../shared/wire.ts';
import type { AgentSocket } from './agent-socket.ts';
import type { Caller } from './caller.ts';
import type { Wire } from './heartbeat.ts';
import { RunWriter, STORE_PATIENCE_MS, type AgentLink, type RunIdentity, type RunServices } from './ingest-run.ts';
import type { Limits } from './limits/limits.ts';
import type { OpenedRun, Store } from './store/store.ts';
import { refuseSystemTask } from './system-task.ts';
import { Valve } from './valve.ts';
import { closeReason, type CloseReason } from './web-socket.ts';
import type { Window, WindowBudget } from './window.ts';

/**
 * An agent's socket: hello first, then one run's chunks and control messages (shared/wire.ts), until either side
 * closes. Reads no more while its window is full, or while it has sent more than it may.
 */
export class AgentConnection implements AgentLink {
  readonly task: string;
  readonly #socket: AgentSocket;
  readonly #wire: Wire;
  readonly #caller: Caller;
  readonly #valve: Valve;
  readonly #services: ConnectionServices;
  readonly #since: number;
  #state: State = { name: 'silent' };
  #bytesHeard = 0;
  #heardAt = 0;
  #identity: RunIdentity | undefined;
  #onLeft: () => void = () => undefined;
  #heldUntil = 0;
  #hold: NodeJS.Timeout | undefined;

  constructor(socket: AgentSocket, wire: Wire, parts: ConnectionParts) {
    this.task = parts.task;
    this.#socket = socket;
    this.#wire = wire;
    this.#caller = parts.caller;
    this.#valve = new Valve(socket);
    this.#services = parts.services;
    this.#since = this.#heardAt = this.#services.clock();
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('pong', (mark) => this.#state.name === 'writing' && this.#state.writer.pong(mark.toString('latin1')));
    // The socket has already been closed with the fitting code (1002, 1007, 1009), or is gone.
    socket.on('error', (error) => this.#services.onSocketError(this, error));
    socket.once('close', () => this.#gone());
  }

  /** Names the connection in the relay's log. */
  get requestId(): string {
    return this.#caller.requestId;
  }

  /** Once a second. */
  sweep(): void {
    const clock = this.#services.clock();
    // Whom we do not read we can't hear.
    if (this.#wire.bytesRead !== this.#bytesHeard || this.#valve.held) this.#heardAt = clock;
    this.#bytesHeard = this.#wire.bytesRead;
    if (this.#state.name === 'silent' && clock - this.#since >= HELLO_PATIENCE_MS) {
      this.close('IDLE', `No hello came within ${HELLO_PATIENCE_MS / 1000} s.`);
    } else if (this.#state.name === 'opening' && clock - this.#state.since >= STORE_PATIENCE_MS) {
      this.close('DATABASE_ERROR', `The store has not answered for ${STORE_PATIENCE_MS / 1000} s.`);
    } else if (this.#state.name === 'writing') this.#state.writer.sweep(clock - this.#heardAt < QUIET_MS);
  }

  /** Reads no more; resolves when what came before is committed and acknowledged, or the connection is closed. */
  async drain(): Promise<void> {
    this.#valve.hold('drain');
    if (this.#state.name !== 'writing') return;
    const { writer } = this.#state;
    await Promise.race([writer.drain(), new Promise<void>((resolve) => (this.#onLeft = resolve))]);
    writer.sendAck();
  }

  /** Resolves when the store has answered all that came until now, and that was said. */
  async settled(): Promise<void> {
    if (this.#state.name !== 'writing') return;
    const { writer } = this.#state;
    await writer.drain();
    writer.sendAck();
  }

  /** Asks the agent to stop, if it is let in already. */
  cancel(reason: string): void {
    if (this.#state.name === 'writing') this.send({ type: 'cancel', reason: reason.slice(0, MAX_TEXT_CHARACTERS) });
  }

  send(message: RelayMessage): void {
    if (this.#state.name === 'closed') return;
    this.#socket.send(JSON.stringify(message));
    if (this.#socket.bufferedAmount > MAX_UNREAD_BYTES)
      this.close('OVERLOADED', 'The agent does not read what it is told.');
  }

  mark(mark: string): void {
    if (this.#state.name !== 'closed') this.#socket.ping(mark);
  }

  /** `retryAfterMs`: when the agent shall come back; else it decides itself. */
  close(code: ErrorCode, message: string, { retryAfterMs }: { retryAfterMs?: number } = {}): void {
    if (this.#state.name === 'closed') return;
    if (retryAfterMs !== undefined) this.#socket.send(JSON.stringify({ type: 'drain', retryAfterMs }));
    this.#services.onClosing(this, { code, message });
    this.#leave();
    this.#socket.close(ERRORS[code].close, closeReason(message));
    // A socket that is not read never sees the other side's close.
    this.#socket.resume();
  }

  #leave(): void {
    if (this.#state.name === 'writing') this.#state.window.close();
    clearTimeout(this.#hold);
    this.#state = { name: 'closed' };
    this.#onLeft();
  }

  #gone(): void {
    this.#leave();
    this.#services.onGone(this, this.#identity);
  }

  #receive(bytes: Buffer, isBinary: boolean): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    if (isBinary) {
      if (state.name === 'writing') state.writer.frame(bytes);
      else this.close('INVALID_MESSAGE_FORMAT', 'bad message: a chunk before ready');
      return;
    }
    let message: AgentMessage;
    try {
      if (bytes.length > MAX_CONTROL_BYTES)
        throw new Error(`bad message: it has ${bytes.length} bytes, over ${MAX_CONTROL_BYTES}`);
      message = parseAgentMessage(bytes.toString());
    } catch (error) {
      this.close('INVALID_MESSAGE_FORMAT', (error as Error).message);
      return;
    }
    this.#control(message);
  }

  #control(message: AgentMessage): void {
    const state = this.#state;
    if (message.type === 'hello') {
      if (state.name === 'silent') void this.#open(message);
      else this.close('INVALID_MESSAGE_FORMAT', 'bad message: a second hello');
    } else if (state.name !== 'writing') {
      this.close('INVALID_MESSAGE_FORMAT', `bad message: ${message.type} before ready`);
    } else if (message.type === 'end') state.writer.end(message);
    else state.writer.progress(message);
  }

  async #open(hello: Hello): Promise<void> {
    const refusal = this.#services.admits();
    if (refusal !== undefined) {
      this.close(refusal.code, refusal.message);
      return;
    }
    this.#state = { name: 'opening', since: this.#services.clock() };
    const { type: _, pipelineId, ...run } = hello;
    // An empty one is none: nobody could ask for it.
    const pipeline = pipelineId === undefined || pipelineId === '' ? {} : { pipelineId };
    try {
      await this.#admit(hello);
      const opened = await this.#services.store.open({
        ...run,
        ...pipeline,
        task: this.task,
        now: this.#services.now(),
      });
      this.#opened(hello.run, opened);
    } catch (error) {
      const { code, message, retryAfterMs } =
        error instanceof KerutaError ? error : { retryAfterMs: undefined, ...this.#services.storeFailed(error) };
      this.close(code, message, { retryAfterMs });
    }
  }

  /** Rejects with a KerutaError unless the caller may write this run, and begin it if it is new. */
  async #admit({ epoch, labels, pipelineId }: Hello): Promise<void> {
    const { task } = this;
    const { principal, address } = this.#caller;
    const { limits, store } = this.#services;
    refuseSystemTask(task, pipelineId);
    if (!principal.may('ingest', { task })) {
      // Its labels are what makes it the caller's: those that it has, so that nobody's task is taken over, and the new.
      const known = await store.task(task);
      if (known !== undefined) principal.require('ingest', { task, labels: known.labels });
      principal.require('ingest', { task, labels });
    }
    limits.task(principal, task);
    // Who has been let in before knows the epoch.
    if (epoch === undefined) limits.run(address);
    else this.#services.onResumed();
  }

  #opened(run: string, opened: OpenedRun): void {
    // It may have gone while the store was asked; the run then stays open until another hello, or until it is lost.
    if (this.#state.name !== 'opening') return;
    const { epoch, fence, nextSeq, digest } = opened;
    const identity = { task: this.task, run, fence };
    const window = this.#services.budget.open({
      pause: () => this.#valve.hold('window'),
      resume: () => this.#valve.release('window'),
    });
    const services = { ...this.#services, window, count: (lines: number, bytes: number) => this.#count(lines, bytes) };
    const writer = new RunWriter(identity, opened, { link: this, services });
    this.#identity = identity;
    this.#state = { name: 'writing', writer, window };
    // What an earlier connection has sent too much is waited for here.
    this.#count(0, 0);
    this.#services.onWriting(this, identity);
    this.send({ type: 'ready', epoch, nextSeq, digest, windowBytes: window.bytes });
  }

  /** Lines came. Whoever sends more than it may is not read for a while: TCP slows it down, and nothing is lost. */
  #count(lines: number, bytes: number): void {
    const { limits, clock } = this.#services;
    const { address, principal } = this.#caller;
    const waitMs = limits.lines({ address, task: this.task, principal }, lines, bytes);
    if (waitMs === 0) return;
    const until = clock() + waitMs;
    if (until <= this.#heldUntil) return;
    this.#heldUntil = until;
    this.#valve.hold('limit');
    clearTimeout(this.#hold);
    this.#hold = setTimeout(() => this.#valve.release('limit'), Math.min(waitMs, MAX_HOLD_MS));
  }
}

type State =
  | { name: 'silent' }
  | { name: 'opening'; since: number }
  | { name: 'writing'; writer: RunWriter; window: Window }
  | { name: 'closed' };

export interface ConnectionParts {
  task: string;
  caller: Caller;
  services: ConnectionServices;
}

/** What connections share. */
export interface ConnectionServices extends Omit<RunServices, 'store' | 'window' | 'count'> {
  store: Pick<Store, 'open' | 'append' | 'end' | 'seen' | 'task'>;
  limits: Pick<Limits, 'lines' | 'task' | 'run'>;
  budget: WindowBudget;
  /** Why no run may be opened now, or undefined. */
  admits: () => CloseReason | undefined;
  /** An agent has come back. */
  onResumed: () => void;
  /** It has been let in as the writer of a run. */
  onWriting: (connection: AgentConnection, identity: RunIdentity) => void;
  /** We are about to close it. */
  onClosing: (connection: AgentConnection, why: CloseReason) => void;
  onSocketError: (connection: AgentConnection, error: Error) => void;
  /** Its socket has closed. */
  onGone: (connection: AgentConnection, identity: RunIdentity | undefined) => void;
}

/** A quiet agent answers a ping this often; a little more is no sign of death. */
const QUIET_MS = PING_AFTER_MS + 5000;
const HELLO_PATIENCE_MS = 10_000;
/** An agent that is held for longer comes back meanwhile, and is held on. */
const MAX_HOLD_MS = 60 * 60 * 1000;
/** Acks and refusals are small and cumulative: more than this piles up only for a peer that never reads. */
const MAX_UNREAD_BYTES = 1024 * 1024;
