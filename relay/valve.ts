/** Whether a socket is read: as long as nobody holds it, for whatever reason. */
export class Valve {
  readonly #flow: { pause(): void; resume(): void };
  readonly #holds = new Set<string>();

  constructor(flow: { pause(): void; resume(): void }) {
    this.#flow = flow;
  }

  get held(): boolean {
    return this.#holds.size > 0;
  }

  hold(reason: string): void {
    if (!this.held) this.#flow.pause();
    this.#holds.add(reason);
  }

  release(reason: string): void {
    if (this.#holds.delete(reason) && !this.held) this.#flow.resume();
  }
}
