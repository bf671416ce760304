import { KeyBlocks } from './key-blocks.ts';
import { SecretMasker } from './secret-masker.ts';
import type { SecretSet } from './secrets.ts';

/** A text that is there as a whole, masked: command lines, labels. */
export function redactText(text: string, secrets: SecretSet): string {
  const redactor = new Redactor(secrets);
  return Buffer.concat([redactor.push(Buffer.from(text)), redactor.end()]).toString();
}

/**
 * Masks what is secret in one stream: first private keys, then what is known by its text or shape. However the stream
 * is cut, the same comes out; whole lines never wait.
 */
export class Redactor {
  readonly #keys = new KeyBlocks();
  readonly #masker: SecretMasker;

  constructor(secrets: SecretSet) {
    this.#masker = new SecretMasker(secrets);
  }

  /** Whether anything is held back. */
  get holding(): boolean {
    return this.#keys.holding || this.#masker.holding;
  }

  /**
   * Takes the next bytes and returns what may leave. Overlapping secrets become one mask. If there is nothing to mask
   * and nothing was held, that is the block or the beginning of it, not a copy. Keeps no reference to the block.
   * `headroom`: so many bytes before the block may be written to, which saves copies of it.
   */
  push(block: Buffer, headroom = 0): Buffer {
    const clean = this.#keys.push(block);
    return this.#masker.push(clean, clean === block ? headroom : 0);
  }

  /**
   * Nothing came for a while: lets go what is held, but of what may become a secret no more than its first 3 bytes, and
   * nothing of a word that may be part of a key.
   */
  release(): Buffer {
    return this.#masker.release();
  }

  /** The stream is over: returns what was held, masked where it is a secret. */
  end(): Buffer {
    return Buffer.concat([this.#masker.push(this.#keys.end()), this.#masker.end()]);
  }
}
