import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { MarkFinder, readMark, type Mark } from './mark.ts';

/** How a viewer asks for lines. */
export interface Conversation {
  name: string;
  path: string;
  /** If it is to be a WebSocket: the subprotocol, or nothing. */
  upgrade?: string;
  /** What is waited for, one after the other, and what is said then. */
  steps: readonly (string | [heard: string, say: string])[];
  /** What a WebSocket says every few seconds, for the relay to know that somebody is there: a pong, or this text. */
  alive?: string;
}

/** What a viewer does with a line: `counts` looks at nothing but that it came, which leaves more of the machine. */
export type Listening = 'counts' | ((mark: Mark, now: number) => void);

/**
 * A viewer that reads raw bytes: it speaks as little HTTP and WebSocket as it needs to ask, and then looks for the marks
 * in what comes.
 */
export class Peer {
  readonly name: string;
  /** Lines that came. */
  lines = 0;
  readonly #socket: Socket;
  readonly #steps: Conversation['steps'];
  readonly #ready = Promise.withResolvers<undefined>();
  readonly #closed = Promise.withResolvers<undefined>();
  readonly #finder: MarkFinder;
  #step = 0;
  #talk: Buffer = Buffer.alloc(0);
  #closing = false;
  #waiting: { count: number; done: PromiseWithResolvers<void> } | undefined;

  constructor({ hostname, port }: URL, conversation: Conversation, listening: Listening) {
    this.name = conversation.name;
    this.#steps = conversation.steps;
    // A rejection that nobody waits for is heard by whoever asks next.
    this.#ready.promise.catch(() => undefined);
    this.#finder = new MarkFinder((bytes, at) => {
      this.lines++;
      if (listening !== 'counts') listening(readMark(bytes, at), performance.timeOrigin + performance.now());
    });
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      onread: {
        // All share one, since each has read what is in it before the next is asked.
        buffer: READ_BUFFER,
        callback: (count) => {
          this.#read(READ_BUFFER.subarray(0, count));
          return true;
        },
      },
    });
    this.#socket.once('connect', () => this.#socket.write(request(hostname, conversation)));
    const { upgrade, alive } = conversation;
    const sign = alive === undefined ? maskedFrame('', PONG) : maskedFrame(alive);
    const timer = upgrade === undefined ? undefined : setInterval(() => this.#sayAlive(sign), ALIVE_EVERY_MS);
    const lost = (): void => {
      clearInterval(timer);
      this.#closed.resolve(undefined);
      const error = new Error(`the relay closed the connection of ${this.name} after ${this.lines} lines`);
      this.#ready.reject(error);
      if (this.#waiting !== undefined && this.lines < this.#waiting.count) this.#waiting.done.reject(error);
    };
    this.#socket.on('error', lost);
    this.#socket.on('close', lost);
  }

  /** Resolves when it waits for lines; rejects if it is not let in. */
  get ready(): Promise<unknown> {
    return this.#ready.promise;
  }

  /** Resolves when the connection is gone, whoever closed it. */
  get closed(): Promise<unknown> {
    return this.#closed.promise;
  }

  /** Whether the other side has closed it. */
  get lost(): boolean {
    return this.#socket.destroyed && !this.#closing;
  }

  /** Resolves when it got so many lines; rejects if that can't be any more, or takes minutes. */
  got(count: number): Promise<void> {
    const done: PromiseWithResolvers<void> = Promise.withResolvers();
    this.#waiting = { count, done };
    const giveUp = (): void => done.reject(new Error(`${this.name} got ${this.lines} of ${count} lines`));
    if (this.lines >= count) done.resolve();
    else if (this.#socket.destroyed) giveUp();
    const timer = setTimeout(giveUp, PATIENCE_MS).unref();
    return done.promise.finally(() => clearTimeout(timer));
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    if (this.#step < this.#steps.length) {
      this.#converse(data);
      return;
    }
    this.#finder.push(data);
    if (this.#waiting !== undefined && this.lines >= this.#waiting.count) this.#waiting.done.resolve();
  }

  /** Not in the middle of asking. */
  #sayAlive(sign: Buffer): void {
    if (this.#step === this.#steps.length && this.#socket.writable) this.#socket.write(sign);
  }

  #converse(data: Buffer): void {
    this.#talk = Buffer.concat([this.#talk, data]);
    for (; this.#step < this.#steps.length; this.#step++) {
      const step = this.#steps[this.#step];
      const [heard, say] = typeof step === 'string' ? [step] : step;
      const at = this.#talk.indexOf(heard);
      if (at === -1) return;
      this.#talk = this.#talk.subarray(at + heard.length);
      if (say !== undefined) this.#socket.write(maskedFrame(say));
    }
    // The first lines may come together with the answer.
    this.#finder.push(this.#talk);
    this.#talk = Buffer.alloc(0);
    this.#ready.resolve(undefined);
  }
}

const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024);

function request(host: string, { path, upgrade }: Conversation): string {
  const lines = [`GET ${path} HTTP/1.1`, `Host: ${host}`];
  if (upgrade === undefined) lines.push('Accept: text/event-stream');
  else {
    const key = randomBytes(16).toString('base64');
    lines.push('Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`);
  }
  if (upgrade) lines.push(`Sec-WebSocket-Protocol: ${upgrade}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A frame as a client sends it, of less than 64 KiB; the mask is all zeros. */
function maskedFrame(text: string, kind = TEXT): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const header = length < 126 ? [kind, 0x80 | length] : [kind, 0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload]);
}

const TEXT = 0x81;
const PONG = 0x8a;
const ALIVE_EVERY_MS = 10_000;
/** Even a crowd has read what was left by then: a line that is missing still was lost. */
const PATIENCE_MS = 180_000;
