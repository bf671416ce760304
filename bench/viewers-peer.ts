import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** Stands in front of a time in the text of a line. */
export const MARK = '@@';

/** How a viewer asks for lines. */
export interface Conversation {
  name: string;
  path: string;
  /** If it is to be a WebSocket: the subprotocol, or nothing. */
  upgrade?: string;
  /** What is waited for, one after the other, and what is said then. */
  steps: readonly (string | [heard: string, say: string])[];
}

/**
 * A viewer that reads raw bytes: it speaks as little HTTP and WebSocket as it needs to ask, and then looks for the times
 * in what comes.
 */
export class Peer {
  readonly name: string;
  /** From the writing of each line to its arrival, in ms and in the order of arrival. */
  readonly delays: number[] = [];
  readonly #socket: Socket;
  readonly #steps: Conversation['steps'];
  readonly #ready = Promise.withResolvers<undefined>();
  #step = 0;
  #rest: Buffer = Buffer.alloc(0);
  #waiting: { count: number; done: PromiseWithResolvers<void> } | undefined;

  constructor({ hostname, port }: URL, conversation: Conversation) {
    this.name = conversation.name;
    this.#steps = conversation.steps;
    this.#socket = connect(Number(port), hostname, () => this.#socket.write(request(hostname, conversation)));
    this.#socket.on('data', (data) => this.#read(data));
    const lost = (): void => {
      const error = new Error(`the relay closed the connection of ${this.name} after ${this.delays.length} lines`);
      this.#ready.reject(error);
      if (this.#waiting !== undefined && this.delays.length < this.#waiting.count) this.#waiting.done.reject(error);
    };
    this.#socket.on('error', lost);
    this.#socket.on('close', lost);
  }

  /** Resolves when it waits for lines. */
  get ready(): Promise<unknown> {
    return this.#ready.promise;
  }

  /** Resolves when it got so many lines; rejects if that can't be any more. */
  got(count: number): Promise<void> {
    this.#waiting = { count, done: Promise.withResolvers() };
    if (this.delays.length >= count) this.#waiting.done.resolve();
    else if (this.#socket.destroyed)
      this.#waiting.done.reject(new Error(`${this.name} got ${this.delays.length} lines`));
    return this.#waiting.done.promise;
  }

  close(): void {
    this.#ready.promise.catch(() => undefined);
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    const now = performance.timeOrigin + performance.now();
    if (this.#step < this.#steps.length) {
      this.#talk(data);
      return;
    }
    const bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    let from = 0;
    for (let at = bytes.indexOf(MARK); at !== -1; at = bytes.indexOf(MARK, from)) {
      from = at + MARK.length + TIME_CHARACTERS;
      if (from > bytes.length) {
        from = at;
        break;
      }
      this.delays.push(now - Number(bytes.toString('latin1', at + MARK.length, from)));
    }
    // A line's mark and time may come in two parts.
    this.#rest = bytes.subarray(Math.max(from, bytes.length - MARK.length - TIME_CHARACTERS));
    if (this.#waiting !== undefined && this.delays.length >= this.#waiting.count) this.#waiting.done.resolve();
  }

  #talk(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (; this.#step < this.#steps.length; this.#step++) {
      const step = this.#steps[this.#step];
      const [heard, say] = typeof step === 'string' ? [step] : step;
      if (!this.#rest.includes(heard)) return;
      if (say !== undefined) this.#socket.write(maskedFrame(say));
    }
    this.#rest = Buffer.alloc(0);
    this.#ready.resolve(undefined);
  }
}

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

/** A text frame as a client sends it, of less than 64 KiB; the mask is all zeros. */
function maskedFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const header = length < 126 ? [0x81, 0x80 | length] : [0x81, 0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload]);
}

/** `1767323045678.123`. */
const TIME_CHARACTERS = 17;
