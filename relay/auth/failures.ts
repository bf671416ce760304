import { KerutaError } from '../../shared/errors.ts';
import { addressKey } from '../limits/address-key.ts';
import { isLoopback } from './client-address.ts';

/**
 * Slows down who tries tokens: an address that has brought too many wrong ones within a minute is refused before its
 * next one is looked at. This machine is exempt: there, one wrong program would lock out all others.
 */
export class Failures {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** By address, the oldest first: when its allowance is whole again, if nothing more is added, in ms. */
  readonly #fullAt = new Map<string, number>();

  /** `perMinute` 0: no limit. `now` is monotonic, in ms. */
  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Throws a KerutaError RATE_LIMIT_EXCEEDED for an address that has failed too often. */
  check(address: string): void {
    const waitMs = (this.#fullAt.get(addressKey(address)) ?? 0) - this.#now() - (MINUTE_MS - this.#eachMs);
    if (this.#perMinute === 0 || waitMs <= 0) return;
    throw new KerutaError('RATE_LIMIT_EXCEEDED', 'Too many wrong tokens came from this address.', {
      retryAfterMs: Math.ceil(waitMs),
    });
  }

  failed(address: string): void {
    if (this.#perMinute === 0 || isLoopback(address)) return;
    const now = this.#now();
    const key = addressKey(address);
    const fullAt = Math.max(this.#fullAt.get(key) ?? 0, now) + this.#eachMs;
    this.#fullAt.delete(key);
    this.#fullAt.set(key, fullAt);
    for (const [oldest, at] of this.#fullAt) {
      if (at > now && this.#fullAt.size <= MAX_ADDRESSES) break;
      this.#fullAt.delete(oldest);
    }
  }

  /** What one failure takes of a minute's allowance. */
  get #eachMs(): number {
    return MINUTE_MS / this.#perMinute;
  }
}

const MINUTE_MS = 60_000;
const MAX_ADDRESSES = 10_000;
