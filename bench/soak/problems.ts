/** What went wrong in a soak, in sentences; of many the first ones and how many there were. */
export class Problems {
  readonly #first: string[] = [];
  #count = 0;

  add(sentence: string): void {
    this.#count++;
    if (this.#first.length < SHOWN) this.#first.push(sentence);
  }

  get sentences(): string[] {
    return this.#count > SHOWN ? [...this.#first, `and ${this.#count - SHOWN} more like these`] : [...this.#first];
  }
}

const SHOWN = 20;
