import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { ERRORS, KerutaError } from '../../../shared/errors.ts';
import { VIEW_SUBPROTOCOL, type ViewerMessage } from '../../../shared/viewer-messages.ts';
import type { Principal } from '../../auth/principal.ts';
import type { Caller } from '../../caller.ts';
import { toKerutaError, type ErrorMeter } from '../../http-errors.ts';
import type { Limits } from '../../limits/limits.ts';
import type { MergedReader } from '../../merged/merged-reader.ts';
import type { SnapshotStore } from '../../pipelines/snapshot.ts';
import type { Reader } from '../../reader.ts';
import { readEntry } from '../../senders/log-entry.ts';
import type { Senders } from '../../senders/senders.ts';
import { SocketLines } from '../../senders/socket-lines.ts';
import { readStatus } from '../../senders/task-status.ts';
import { textFrame } from '../frames.ts';
import { iso } from '../iso.ts';
import { Outgoing } from '../outgoing.ts';
import { Entrance, tokenOf } from './entrance.ts';
import { FrameTurns } from './frame-turns.ts';
import { IdleTimer } from '../idle-timer.ts';
import { requireOn } from '../permission.ts';
import { readRequest, subscriptionIn, type ViewerRequest } from './subscribe.ts';
import type { Label } from './subscriptions.ts';
import { Watching } from './watching.ts';

export interface ViewerOptions {
  /** The path's task, if it names one. */
  taskId?: string | undefined;
  /** Undefined: a token is required, and none came with the upgrade. */
  caller: Caller | undefined;
  visit: Omit<Caller, 'principal'>;
  /** Whose token it is that came later. Rejects with a KerutaError. */
  authenticate: (token: string) => Promise<Principal>;
  reader: Reader;
  merged: MergedReader;
  /** What pipelines are looked up in. */
  pipelines: SnapshotStore;
  senders: Senders;
  limits?: Pick<Limits, 'request'>;
  /** Of one frame. */
  maxMessageBytes?: number | undefined;
  /** Closes a socket on which nothing is subscribed, sent and said for so long. */
  sessionTimeoutMs?: number | undefined;
  /** Told of the errors that the other side is told. */
  meter?: ErrorMeter;
  /** Told of what the other side is not to blame for. */
  log?: Pick<Logger, 'error'>;
  pingEveryMs?: number;
  /** How long a token is waited for. */
  patienceMs?: number;
  now?: () => number;
}

/** Serves the WebSocket of a viewer, or of an agent that speaks JSON, until it closes. */
export function serveViewer(webSocket: WebSocket, options: ViewerOptions): void {
  new Viewer(webSocket, options).start();
}

class Viewer {
  readonly #webSocket: WebSocket;
  readonly #options: ViewerOptions;
  readonly #out: Outgoing;
  readonly #now: () => number;
  readonly #turns: FrameTurns;
  readonly #entrance: Entrance;
  readonly #watching: Watching;
  readonly #idle: IdleTimer;
  /** What it sends, if it does. */
  #lines: SocketLines | undefined;
  #ping: NodeJS.Timeout | undefined;
  readonly #gone = new AbortController();

  constructor(webSocket: WebSocket, options: ViewerOptions) {
    const { taskId, reader, merged, pipelines, limits, caller, visit, authenticate, patienceMs, sessionTimeoutMs } =
      options;
    this.#webSocket = webSocket;
    this.#options = options;
    this.#out = new Outgoing(webSocket);
    this.#now = options.now ?? Date.now;
    this.#turns = new FrameTurns(webSocket, {
      maxBytes: options.maxMessageBytes,
      take: (frame) => this.#take(frame),
      onError: (error) => this.#sayError(error),
    });
    this.#watching = new Watching({
      ...{ taskId, reader, merged, pipelines, limits },
      out: this.#out,
      now: this.#now,
      gone: this.#gone.signal,
      caller: () => this.#entrance.caller,
      onError: (error, label) => this.#sayError(error, label),
    });
    this.#entrance = new Entrance({
      ...{ caller, visit, authenticate },
      ...(patienceMs !== undefined && { patienceMs }),
      onLate: (error) => this.#refuse(error),
    });
    this.#idle = new IdleTimer({
      timeoutMs: sessionTimeoutMs,
      busy: () => this.#watching.size > 0 || this.#lines?.busy === true,
      onIdle: () => this.#refuse(new KerutaError('IDLE', 'Nothing was subscribed to, and nothing was said.')),
    });
  }

  start(): void {
    const { pingEveryMs = PING_EVERY_MS } = this.#options;
    this.#ping = setInterval(() => {
      this.#sayPing();
      void this.#watching.review();
    }, pingEveryMs);
    this.#turns.start();
    this.#webSocket.once('close', (code) => this.#stop(code));
    this.#idle.start();
    this.#entrance.start();
    if (this.#entrance.caller !== undefined) this.#turns.inTurn(() => this.#welcome());
  }

  #stop(code: number): void {
    this.#gone.abort();
    clearInterval(this.#ping);
    this.#idle.stop();
    this.#entrance.stop();
    this.#watching.stop();
    // What came before the close is still taken in.
    void this.#turns.settled().then(() => this.#lines?.close(IN_ORDER.has(code)));
  }

  async #take(frame: string): Promise<void> {
    this.#idle.said();
    const { caller } = this.#entrance;
    if (caller === undefined) await this.#knock(frame);
    else await this.#answer(frame, caller);
    // Who asks without taking the answers is not read on.
    await this.#out.ready();
  }

  /** Somebody who has not been let in says something. */
  async #knock(frame: string): Promise<void> {
    const token = tokenOf(frame);
    if (token !== undefined) await this.#enter(token);
    else this.#refuse(new KerutaError('UNAUTHORIZED', 'The first message must be {"type":"auth","token":"…"}.'));
  }

  async #answer(frame: string, caller: Caller): Promise<void> {
    const request = this.#read(frame);
    if (request === undefined) return;
    if (request.type === 'auth') return this.#enter(request.token);
    if (request.type === 'log' || request.type === 'status') {
      await this.#send(request, caller);
      return;
    }
    // What was waiting when the viewer went is nobody's any more: a subscription would never be stopped.
    if (this.#gone.signal.aborted) return;
    const timestamp = iso(this.#now());
    switch (request.type) {
      case 'subscribe':
        await this.#watching.subscribe(request, caller);
        break;
      case 'unsubscribe':
        this.#say({ type: 'unsubscribed', ...this.#watching.unsubscribe(request), timestamp });
        break;
      case 'ping':
        this.#say({ type: 'pong', timestamp });
        break;
      case 'pong':
        break;
    }
  }

  /** Undefined: it is not as it must be, which was said. */
  #read(frame: string): ViewerRequest | undefined {
    try {
      return readRequest(frame);
    } catch (error) {
      this.#sayError(error, subscriptionIn(frame));
      return undefined;
    }
  }

  /** What a bare connect means, now that it is known who came. */
  async #welcome(): Promise<void> {
    const { caller } = this.#entrance;
    if (this.#webSocket.protocol === VIEW_SUBPROTOCOL || caller === undefined) return;
    if (await this.#watching.welcome(caller)) return;
    const task = JSON.stringify(this.#options.taskId);
    this.#refuse(new KerutaError('FORBIDDEN', `The token grants nothing on the task ${task}.`));
  }

  async #enter(token: string | undefined): Promise<void> {
    const isFirst = this.#entrance.caller === undefined;
    // Whoever was let in at the upgrade may say it again without a token, as if it had not been.
    if (isFirst || token !== undefined) {
      try {
        await this.#entrance.enter(token ?? '');
      } catch (error) {
        if (this.#entrance.closed) this.#refuse(toKerutaError(error));
        else this.#sayError(error);
        return;
      }
    }
    this.#say({ type: 'authenticated', timestamp: iso(this.#now()) });
    if (isFirst) await this.#welcome();
    else await this.#watching.review();
  }

  /** Takes over what an agent sends. */
  async #send({ type, taskId, body }: Sent, caller: Caller): Promise<void> {
    const { taskId: ofPath, reader } = this.#options;
    const task = taskId ?? ofPath;
    if (task === undefined) throw new KerutaError('INVALID_INPUT', 'This path names no task: taskId must be given.');
    if (type === 'log') this.#watching.sends();
    try {
      await requireOn(caller.principal, { scope: 'ingest', task, reader });
      const lines = (this.#lines ??= this.#openLines());
      if (type === 'status') await lines.status(task, readStatus(body), caller);
      else await lines.line(task, readEntry(body, { now: this.#now(), levelOptional: true }), caller);
    } catch (error) {
      this.#sayError(error, { taskId: task });
    }
  }

  #openLines(): SocketLines {
    return new SocketLines({
      senders: this.#options.senders,
      gone: this.#gone.signal,
      onStored: ({ task: taskId, count, lastLine }) => {
        const id = this.#options.reader.cursors()(lastLine);
        this.#say({ type: 'ack', taskId, count, lastLine, id, timestamp: iso(this.#now()) });
      },
      onCancel: ({ task: taskId, reason }) =>
        this.#say({ type: 'cancel', taskId, reason, timestamp: iso(this.#now()) }),
      onFailed: (error) => this.#sayError(error),
    });
  }

  #sayPing(): void {
    // Who has not taken what was sent will not miss a ping.
    if (this.#out.full) return;
    const timestamp = iso(this.#now());
    if (this.#watching.size === 0) this.#say({ type: 'ping', timestamp });
    for (const { label, cursor } of this.#watching.places()) {
      this.#say({ type: 'ping', timestamp, ...label, ...(cursor !== undefined && { cursor }) });
    }
  }

  /** Says what is wrong; if we are to blame, the socket closes so that the other side comes back to try again. */
  #sayError(error: unknown, label: Label = {}): void {
    const shown = toKerutaError(error);
    const { code, message } = shown;
    const { retry, hint, status } = ERRORS[code];
    this.#options.meter?.failed(code);
    this.#say({ type: 'error', code, message, timestamp: iso(this.#now()), hint, ...label });
    if (!retry) {
      this.#turns.mistaken(shown);
      return;
    }
    if (status === 500) this.#options.log?.error({ err: error, ...label }, 'a socket could not be served');
    this.#turns.close(shown);
  }

  /** Says why it has to go, and closes. */
  #refuse(error: KerutaError): void {
    const { code, message } = error;
    this.#options.meter?.failed(code);
    this.#say({ type: 'error', code, message, timestamp: iso(this.#now()), hint: ERRORS[code].hint });
    this.#turns.close(error);
  }

  #say(message: ViewerMessage): void {
    this.#out.write(textFrame(JSON.stringify(message)));
  }
}

type Sent = Extract<ViewerRequest, { body: unknown }>;

/** Beside the pings of WebSocket itself, which browsers hide from their pages. */
const PING_EVERY_MS = 30_000;
/** Codes by which the other side says that it has finished; 1005 is a close frame without any. */
const IN_ORDER: ReadonlySet<number> = new Set([1000, 1005]);
