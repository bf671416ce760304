import type { Logger } from 'pino';
import type { RawData, WebSocket } from 'ws';
import { ERRORS, KerutaError } from '../../../shared/errors.ts';
import { VIEW_SUBPROTOCOL, type ErrorMessage, type ViewerMessage } from '../../../shared/viewer-messages.ts';
import { toKerutaError } from '../../http-errors.ts';
import type { Reader } from '../../reader.ts';
import { closeReason } from '../../web-socket.ts';
import { textFrame } from '../frames.ts';
import { Outgoing } from '../outgoing.ts';
import { iso } from './shape.ts';
import { defaultSubscribe, readRequest, type Subscribe } from './subscribe.ts';
import { Subscription } from './subscription.ts';

export interface ViewerOptions {
  /** The path's task. */
  taskId: string;
  reader: Reader;
  /** Told of what the viewer is not to blame for. */
  log?: Pick<Logger, 'error'>;
  pingEveryMs?: number;
  now?: () => number;
}

/** Serves a viewer's WebSocket, whose peer may read the task, until it closes. */
export function serveViewer(webSocket: WebSocket, options: ViewerOptions): void {
  new Viewer(webSocket, options).start();
}

class Viewer {
  readonly #webSocket: WebSocket;
  readonly #options: ViewerOptions;
  readonly #out: Outgoing;
  readonly #now: () => number;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Frames are answered one after the other. */
  #answering: Promise<void> = Promise.resolve();
  #ping: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(webSocket: WebSocket, options: ViewerOptions) {
    this.#webSocket = webSocket;
    this.#options = options;
    this.#out = new Outgoing(webSocket);
    this.#now = options.now ?? Date.now;
  }

  start(): void {
    const { pingEveryMs = PING_EVERY_MS, taskId } = this.#options;
    this.#ping = setInterval(() => this.#sayPing(), pingEveryMs);
    this.#webSocket.on('message', (data, isBinary) => this.#received(data, isBinary));
    this.#webSocket.on('error', () => {
      // A frame that breaks the protocol, or a connection that broke: ws closes, and `close` follows.
    });
    this.#webSocket.once('close', () => this.#stop());
    if (this.#webSocket.protocol !== VIEW_SUBPROTOCOL) this.#subscribe(taskId, defaultSubscribe());
  }

  #stop(): void {
    this.#stopped = true;
    clearInterval(this.#ping);
    for (const subscription of this.#subscriptions.values()) subscription.stop();
    this.#subscriptions.clear();
  }

  #received(data: RawData, isBinary: boolean): void {
    this.#webSocket.pause();
    this.#answering = this.#answering
      .then(async () => {
        // What was waiting when the viewer went is nobody's any more: a subscription would never be stopped.
        if (this.#stopped) return;
        if (isBinary) throw new KerutaError('INVALID_MESSAGE_FORMAT', 'Viewers speak text frames.');
        this.#answer((data as Buffer).toString());
        // Who asks without taking the answers is not read on.
        await this.#out.ready();
      })
      .catch((error: unknown) => this.#sayError(error))
      .finally(() => this.#webSocket.resume());
  }

  #answer(frame: string): void {
    const request = readRequest(frame);
    const timestamp = iso(this.#now());
    switch (request.type) {
      case 'subscribe':
        this.#subscribe(request.taskId ?? this.#options.taskId, request.options);
        break;
      case 'unsubscribe': {
        const taskId = request.taskId ?? this.#options.taskId;
        this.#subscriptions.get(taskId)?.stop();
        this.#subscriptions.delete(taskId);
        this.#say({ type: 'unsubscribed', taskId, timestamp });
        break;
      }
      case 'ping':
        this.#say({ type: 'pong', timestamp });
        break;
      case 'auth':
        // Whoever got here was let in when it connected.
        this.#say({ type: 'authenticated', timestamp });
        break;
      case 'pong':
        break;
    }
  }

  /** Starts a subscription. One for the same task that is there ends, and unless told otherwise this goes on from its place. */
  #subscribe(task: string, subscribe: Subscribe): void {
    const old = this.#subscriptions.get(task);
    if (old === undefined && this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      throw new KerutaError('INVALID_INPUT', `One socket may watch ${MAX_SUBSCRIPTIONS} tasks.`);
    }
    // Nothing is written by a subscription after it was stopped, and its place is what was written.
    old?.stop();
    const subscription = new Subscription({
      task,
      subscribe: { ...subscribe, start: subscribe.start ?? old?.start },
      place: old?.nextLine,
      reader: this.#options.reader,
      out: this.#out,
      now: this.#now,
    });
    this.#subscriptions.set(task, subscription);
    void this.#run(task, subscription);
  }

  async #run(task: string, subscription: Subscription): Promise<void> {
    try {
      await subscription.run();
    } catch (error) {
      this.#sayError(error, task);
    } finally {
      if (this.#subscriptions.get(task) === subscription) this.#subscriptions.delete(task);
    }
  }

  #sayPing(): void {
    // Who has not taken what was sent will not miss a ping.
    if (this.#out.full) return;
    const timestamp = iso(this.#now());
    const cursors = this.#options.reader.cursors();
    if (this.#subscriptions.size === 0) this.#say({ type: 'ping', timestamp });
    for (const [taskId, { nextLine }] of this.#subscriptions) {
      this.#say({ type: 'ping', timestamp, taskId, ...(nextLine !== undefined && { cursor: cursors(nextLine) }) });
    }
  }

  /** Says what is wrong; if we are to blame, the socket closes so that the viewer comes back to try again. */
  #sayError(error: unknown, task?: string): void {
    const { code, message } = toKerutaError(error);
    const { close, retry, hint } = ERRORS[code];
    const said: ErrorMessage = { type: 'error', code, message, timestamp: iso(this.#now()), hint };
    if (task !== undefined) said.taskId = task;
    this.#say(said);
    if (!retry) return;
    if (this.#out.open) this.#options.log?.error({ err: error, task }, 'a viewer could not be served');
    this.#webSocket.close(close, closeReason(message));
  }

  #say(message: ViewerMessage): void {
    this.#out.write(textFrame(JSON.stringify(message)));
  }
}

/** Beside the pings of WebSocket itself, which browsers hide from their pages. */
const PING_EVERY_MS = 30_000;
/** Each costs a place to wait. */
const MAX_SUBSCRIPTIONS = 100;
