import type { ServerHttp2Stream } from 'node:http2';
import type { Answers } from './answers.ts';
import { frameOf } from './frames.ts';
import type { AnswerMessage } from './messages.ts';

/**
 * Tells a client its answers, many in one write, as far as it reads them: what it does not read stays in `answers`,
 * which bounds it, and holds up nothing.
 */
export class Teller {
  readonly #stream: ServerHttp2Stream;
  readonly #answers: Answers;
  readonly #serialize: (answer: AnswerMessage) => Buffer;
  #soon: NodeJS.Immediate | undefined;
  #waiting = false;
  #told: (() => void) | undefined;

  constructor(stream: ServerHttp2Stream, { answers, serialize }: TellerOptions) {
    this.#stream = stream;
    this.#answers = answers;
    this.#serialize = serialize;
  }

  /** There are answers. Those of one turn of the event loop leave together. */
  tellSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.tell();
    });
  }

  tell(): void {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded || this.#waiting) return;
    while (this.#answers.ready && stream.writableLength < MAX_UNREAD_BYTES) {
      const frames = this.#answers.take(AT_ONCE).map((answer) => frameOf(this.#serialize(sparse(answer))));
      stream.write(Buffer.concat(frames));
    }
    if (!this.#answers.ready) {
      this.#told?.();
      return;
    }
    this.#waiting = true;
    stream.once('drain', () => {
      this.#waiting = false;
      this.tell();
    });
  }

  /** Resolves when all that is known has been told. Never does if the client has gone. */
  async told(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#told = resolve;
      this.tell();
    });
  }

  /** No more is told. */
  stop(): void {
    clearImmediate(this.#soon);
    this.#waiting = true;
  }
}

interface TellerOptions {
  answers: Answers;
  serialize: (answer: AnswerMessage) => Buffer;
}

/** Without what has its default: most answers say no more than their number. */
function sparse({ status, message, sequence, throttle_ms: throttleMs = 0 }: AnswerMessage): AnswerMessage {
  const sent: Partial<AnswerMessage> = {
    ...(status !== 'ACK' && { status }),
    ...(message !== '' && { message }),
    ...(sequence !== 0 && { sequence }),
    ...(throttleMs !== 0 && { throttle_ms: throttleMs }),
  };
  return sent as AnswerMessage;
}

const AT_ONCE = 256;
/** More than Node's own bound, so that a write has said that it waits for the client. */
const MAX_UNREAD_BYTES = 128 * 1024;
