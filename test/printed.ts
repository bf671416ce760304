/** What a program prints, line by line, whatever it runs in. */
export class Printed {
  text = '';
  #over: string | undefined;
  #changed: (() => void)[] = [];

  add(text: string): void {
    this.text += text;
    this.#change();
  }

  /** The program has ended: how. */
  end(how: string): void {
    this.#over = how;
    this.#change();
  }

  /** How it ended, if it has. */
  get over(): string | undefined {
    return this.#over;
  }

  /** Resolves when it holds, or when the program has ended. */
  async until(done: () => boolean): Promise<void> {
    while (!done() && this.#over === undefined) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  #change(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
