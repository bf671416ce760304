import { once } from 'node:events';
import type { Readable } from 'node:stream';

/** What a program writes to one of its outputs, as it comes. */
export class Output {
  text = '';
  #ended: boolean;
  #changed: (() => void)[] = [];
  readonly #stream: Readable | null;

  constructor(stream: Readable | null) {
    this.#stream = stream;
    this.#ended = stream === null;
    stream?.setEncoding('utf8');
    stream?.on('data', (part: string) => {
      this.text += part;
      this.#change();
    });
    stream?.once('close', () => {
      this.#ended = true;
      this.#change();
    });
  }

  /** Resolves with the match when it is there. Rejects if the output ends without it. */
  async has(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.text);
      if (found) return found;
      if (this.#ended) throw new Error(`the output ended without ${String(pattern)}:\n${this.text}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  /** Resolves with everything when it has ended. */
  async all(): Promise<string> {
    if (this.#stream && !this.#ended) await once(this.#stream, 'close');
    return this.text;
  }

  #change(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
