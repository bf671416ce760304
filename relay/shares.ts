/**
 * What the readers of one tail would each make of it for themselves, made once for all: until something comes or goes,
 * readers at the same place who want the same are given the same object.
 */
export class Shares {
  readonly #made = new Map<string, unknown>();
  readonly #onGrow: (bytes: number) => void;
  #bytes = 0;
  /** Counts `clear`. */
  age = 0;

  constructor(onGrow: (bytes: number) => void) {
    this.#onGrow = onGrow;
  }

  /** `make` depends on nothing but the key and what the tail holds; the same key always stands for the same type. */
  get<T>(key: string, make: () => T): T {
    if (this.#made.has(key)) return this.#made.get(key) as T;
    // Before it is made, so that what is made is of the age in which it is kept.
    if (this.#made.size >= MAX_SHARES) this.clear();
    const made = make();
    this.#made.set(key, made);
    return made;
  }

  /** Something that was made here at that `age` takes so much more memory. What is not kept any more is not counted. */
  grew(bytes: number, age: number): void {
    if (age !== this.age) return;
    this.#bytes += bytes;
    this.#onGrow(bytes);
  }

  clear(): void {
    this.age++;
    if (this.#made.size === 0 && this.#bytes === 0) return;
    this.#made.clear();
    const bytes = this.#bytes;
    this.#bytes = 0;
    this.#onGrow(-bytes);
  }
}

/** What the APIs write for all that one batch holds, joined once for all readers who are given the same batch. */
export class Joined {
  readonly #shares: Shares;
  readonly #age: number;
  readonly #parts = new Map<string, readonly Buffer[]>();

  constructor(shares: Shares) {
    this.#shares = shares;
    this.#age = shares.age;
  }

  /** What `of` has answered before. */
  made(key: string): readonly Buffer[] | undefined {
    return this.#parts.get(key);
  }

  /** One piece of bytes, or where copying would cost more than it saves, several. Not to be changed. */
  of(key: string, make: () => readonly Buffer[]): readonly Buffer[] {
    let parts = this.#parts.get(key);
    if (parts === undefined) {
      parts = this.#join(make());
      this.#parts.set(key, parts);
    }
    return parts;
  }

  #join(parts: readonly Buffer[]): readonly Buffer[] {
    if (parts.length < 2) return parts;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (bytes > MAX_JOINED_BYTES) return parts;
    this.#shares.grew(bytes, this.#age);
    return [Buffer.concat(parts, bytes)];
  }
}

/** Places and filters of readers who follow together: those who are behind stand elsewhere each. */
const MAX_SHARES = 64;
const MAX_JOINED_BYTES = 64 * 1024;
