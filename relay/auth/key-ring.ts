import type { Logger } from 'pino';
import { KerutaError } from '../../shared/errors.ts';
import { FileWatch } from '../file-watch.ts';
import { hashOf, keyIdOf, looksLikeKey, sameHash } from './api-key.ts';
import type { KeyFile } from './key-file.ts';
import type { KeyRecord } from './key-record.ts';
import { Principal } from './principal.ts';

/** The API keys as they are now: a change of their file counts within a second. */
export class KeyRing {
  readonly #file: Pick<KeyFile, 'path' | 'read'>;
  readonly #log: Pick<Logger, 'info'>;
  readonly #now: () => number;
  readonly #watch: FileWatch;
  #keys: ReadonlyMap<string, KeyRecord> = new Map();
  #present = false;

  constructor({ file, log, now = Date.now, everyMs }: KeyRingOptions) {
    this.#file = file;
    this.#log = log;
    this.#now = now;
    this.#watch = new FileWatch({
      paths: [file.path],
      onChange: () => this.#reload(),
      onProblem: (error) => log.error({ err: error }, 'the API keys stay as they were'),
      everyMs,
    });
  }

  /** Rejects with an Error that names the file if it is there and can't be understood. */
  async start(): Promise<void> {
    await this.#watch.start();
    try {
      this.#take(await this.#file.read());
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#watch.stop();
  }

  /** Whether there is a file of keys. One without any lets nobody in: revoking the last key must open nothing. */
  get configured(): boolean {
    return this.#present;
  }

  /** Looks at the file now instead of within a second. */
  refresh(): Promise<void> {
    return this.#watch.look();
  }

  /** Whose key it is; undefined if the text is no key. Throws a KerutaError UNAUTHORIZED for one that is not good. */
  find(text: string): Principal | undefined {
    if (!looksLikeKey(text)) return undefined;
    const id = keyIdOf(text);
    if (id === undefined)
      throw new KerutaError('UNAUTHORIZED', 'The API key is mistyped or cut: its checksum is wrong.');
    const record = this.#keys.get(id);
    const hash = hashOf(text);
    // Compared in any case, so that the time does not tell which ids there are.
    if (!sameHash(record?.hash ?? NO_HASH, hash) || record === undefined)
      throw new KerutaError('UNAUTHORIZED', 'The API key is not known; it may have been revoked.');
    if (record.expiresAt !== undefined && record.expiresAt <= this.#now())
      throw new KerutaError('UNAUTHORIZED', 'The API key has expired.');
    return this.#principal(record);
  }

  #principal({ id, name, hash, scopes, tasks, labels, expiresAt }: KeyRecord): Principal {
    const grants = scopes.map((scope) => ({ scope, tasks, labels }));
    return new Principal(`key:${name}`, grants, { expiresAt, revoked: () => this.#keys.get(id)?.hash !== hash });
  }

  async #reload(): Promise<void> {
    this.#take(await this.#file.read());
    this.#log.info({ file: this.#file.path, keys: this.#keys.size }, 'the API keys have changed');
  }

  #take(records: readonly KeyRecord[] | undefined): void {
    this.#present = records !== undefined;
    this.#keys = new Map(records?.map((record) => [record.id, record]));
  }
}

export interface KeyRingOptions {
  file: Pick<KeyFile, 'path' | 'read'>;
  log: Pick<Logger, 'info' | 'error'>;
  /** ms since 1970 */
  now?: () => number;
  /** How often the file is looked at. */
  everyMs?: number;
}

const NO_HASH = '0'.repeat(64);
