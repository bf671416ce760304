import type { RawData, WebSocket } from 'ws';
import { ERRORS, type ErrorCode } from '../shared/errors.ts';
import { parseAgentMessage, type AgentMessage, type Hello } from '../shared/agent-message.ts';
import { type RelayMessage } from '../shared/relay-message.ts';
import { MAX_CONTROL_BYTES, PING_AFTER_MS } from '../shared/wire.ts';
import type { Wire } from './heartbeat.ts';
import { RunWriter, STORE_PATIENCE_MS, type AgentLink, type RunIdentity, type RunServices } from './ingest-run.ts';
import type { OpenedRun, Store } from './store/store.ts';
import { closeReason, type CloseReason } from './web-socket.ts';
import type { Window, WindowBudget } from './window.ts';

/**
 * An agent's socket: hello first, then one run's chunks and control messages (shared/wire.ts), until either side
 * closes. Reads no more while its window is full.
 */
export class AgentConnection implements AgentLink {
  readonly task: string;
  readonly #socket: WebSocket;
  readonly #wire: Wire;
  readonly #services: ConnectionServices;
  readonly #since: number;
  #state: State = { name: 'silent' };
  #bytesHeard = 0;
  #heardAt = 0;
  #identity: RunIdentity | undefined;
  #onLeft: () => void = () => undefined;

  constructor(socket: WebSocket, wire: Wire, parts: { task: string; services: ConnectionServices }) {
    this.task = parts.task;
    this.#socket = socket;
    this.#wire = wire;
    this.#services = parts.services;
    this.#since = this.#heardAt = this.#services.clock();
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('pong', (mark) => this.#state.name === 'writing' && this.#state.writer.pong(mark.toString('latin1')));
    // The socket has already been closed with the fitting code (1002, 1007, 1009), or is gone.
    socket.on('error', (error) => this.#services.onSocketError(this, error));
    socket.once('close', () => this.#gone());
  }

  /** Once a second. */
  sweep(): void {
    const clock = this.#services.clock();
    if (this.#wire.bytesRead !== this.#bytesHeard) this.#heardAt = clock;
    this.#bytesHeard = this.#wire.bytesRead;
    if (this.#state.name === 'silent' && clock - this.#since >= HELLO_PATIENCE_MS) {
      this.close('IDLE', `No hello came within ${HELLO_PATIENCE_MS / 1000} s.`);
    } else if (this.#state.name === 'opening' && clock - this.#state.since >= STORE_PATIENCE_MS) {
      this.close('DATABASE_ERROR', `The store has not answered for ${STORE_PATIENCE_MS / 1000} s.`);
    } else if (this.#state.name === 'writing') this.#state.writer.sweep(clock - this.#heardAt < QUIET_MS);
  }

  /** Reads no more; resolves when what came before is committed and acknowledged, or the connection is closed. */
  async drain(): Promise<void> {
    this.#socket.pause();
    if (this.#state.name !== 'writing') return;
    const { writer } = this.#state;
    this.#state.stopped = true;
    await Promise.race([writer.drain(), new Promise<void>((resolve) => (this.#onLeft = resolve))]);
    writer.sendAck();
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

  close(code: ErrorCode, message: string): void {
    if (this.#state.name === 'closed') return;
    this.#services.onClosing(this, { code, message });
    this.#leave();
    this.#socket.close(ERRORS[code].close, closeReason(message));
    // A socket that is not read never sees the other side's close.
    this.#socket.resume();
  }

  #leave(): void {
    if (this.#state.name === 'writing') this.#state.window.close();
    this.#state = { name: 'closed' };
    this.#onLeft();
  }

  #gone(): void {
    this.#leave();
    this.#services.onGone(this, this.#identity);
  }

  #receive(data: RawData, isBinary: boolean): void {
    const state = this.#state;
    // ws hands out one Buffer a message unless told otherwise.
    const bytes = data as Buffer;
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
    const { type: _, ...run } = hello;
    try {
      const opened = await this.#services.store.open({ ...run, task: this.task, now: this.#services.now() });
      this.#opened(hello.run, opened);
    } catch (error) {
      const { code, message } = this.#services.storeFailed(error);
      this.close(code, message);
    }
  }

  #opened(run: string, opened: OpenedRun): void {
    // It may have gone while the store was asked; the run then stays open until another hello, or until it is lost.
    if (this.#state.name !== 'opening') return;
    const { epoch, fence, nextSeq, digest } = opened;
    const identity = { task: this.task, run, fence };
    const window = this.#services.budget.open({
      pause: () => this.#socket.pause(),
      resume: () => this.#mayRead() && this.#socket.resume(),
    });
    const writer = new RunWriter(identity, opened, { link: this, services: { ...this.#services, window } });
    this.#identity = identity;
    this.#state = { name: 'writing', writer, window, stopped: false };
    this.#services.onWriting(this, identity);
    this.send({ type: 'ready', epoch, nextSeq, digest, windowBytes: window.bytes });
  }

  #mayRead(): boolean {
    return this.#state.name !== 'writing' || !this.#state.stopped;
  }
}

type State =
  | { name: 'silent' }
  | { name: 'opening'; since: number }
  | { name: 'writing'; writer: RunWriter; window: Window; stopped: boolean }
  | { name: 'closed' };

/** What connections share. */
export interface ConnectionServices extends Omit<RunServices, 'store' | 'window'> {
  store: Pick<Store, 'open' | 'append' | 'end' | 'seen'>;
  budget: WindowBudget;
  /** Why no run may be opened now, or undefined. */
  admits: () => CloseReason | undefined;
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
/** Acks and refusals are small and cumulative: more than this piles up only for a peer that never reads. */
const MAX_UNREAD_BYTES = 1024 * 1024;
