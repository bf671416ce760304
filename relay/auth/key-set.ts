import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { KerutaError } from '../../shared/errors.ts';

/**
 * The public keys of whoever signs tokens (a JWKS), loaded when first needed. Old keys serve while new ones are being
 * loaded or can't be had, for a day at most; a key that is not among them makes it look for new ones, at most every
 * 10 s, so that nobody's made-up tokens become requests to others.
 */
export class KeySet {
  readonly #options: Required<KeySetOptions>;
  #keys: JWTVerifyGetKey | undefined;
  #loadedAt = 0;
  #triedAt = -Infinity;
  #problem: unknown;
  #loading: Promise<JWTVerifyGetKey> | undefined;

  constructor(options: KeySetOptions) {
    this.#options = { now: () => performance.now(), ...options };
  }

  /** The key for a token's header. Rejects with a KerutaError AUTH_UNAVAILABLE if there are none to look among. */
  readonly keyFor: JWTVerifyGetKey = async (header, token) => {
    const keys = await this.#current();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      if (!this.#mayLoad) {
        // It may well be one of those that could not be loaded.
        if (this.#problem !== undefined) throw this.#unavailable();
        throw error;
      }
      return await (
        await this.load()
      )(header, token);
    }
  };

  /** Loads the keys. Rejects with a KerutaError AUTH_UNAVAILABLE if that fails; those that were there stay then. */
  load(): Promise<JWTVerifyGetKey> {
    this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #current(): Promise<JWTVerifyGetKey> {
    const age = this.#options.now() - this.#loadedAt;
    if (this.#keys === undefined || age > MAX_STALE_MS) {
      if (this.#loading === undefined && !this.#mayLoad) throw this.#unavailable();
      return await this.load();
    }
    if (age > this.#options.freshMs && this.#mayLoad) this.load().catch(() => undefined); // Kept in #problem, and logged.
    return this.#keys;
  }

  get #mayLoad(): boolean {
    return this.#options.now() - this.#triedAt >= COOLDOWN_MS;
  }

  async #load(): Promise<JWTVerifyGetKey> {
    const { read, now, onProblem } = this.#options;
    this.#triedAt = now();
    try {
      this.#keys = parseKeySet(await read());
      this.#loadedAt = now();
      this.#problem = undefined;
      return this.#keys;
    } catch (error) {
      this.#problem = error;
      onProblem(error as Error);
      throw this.#unavailable();
    }
  }

  #unavailable(): KerutaError {
    return new KerutaError('AUTH_UNAVAILABLE', 'The keys that tokens are checked with can’t be had now.', {
      cause: this.#problem,
    });
  }
}

export interface KeySetOptions {
  /** The JSON of the set. */
  read: () => Promise<string>;
  /** How long it serves before it is loaded anew. */
  freshMs: number;
  /** Told of every load that fails. */
  onProblem: (error: Error) => void;
  /** monotonic ms */
  now?: () => number;
}

function parseKeySet(text: string): JWTVerifyGetKey {
  let json: JSONWebKeySet;
  try {
    json = JSON.parse(text) as JSONWebKeySet;
  } catch (error) {
    throw new Error('the JWKS is not JSON', { cause: error });
  }
  const set = createLocalJWKSet(json);
  if (json.keys.length > MAX_KEYS) throw new Error(`the JWKS has ${json.keys.length} keys; ${MAX_KEYS} are allowed`);
  return set;
}

const COOLDOWN_MS = 10_000;
const MAX_STALE_MS = 24 * 60 * 60 * 1000;
const MAX_KEYS = 100;
