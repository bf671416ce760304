/** How many of something each key has open. As large as what is open. */
export class OpenCounts {
  readonly #counts = new Map<string, number>();

  get(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  opened(key: string): void {
    this.#counts.set(key, this.get(key) + 1);
  }

  closed(key: string): void {
    const left = this.get(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}
