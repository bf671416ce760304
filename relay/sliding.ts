/** A list in ascending order of places that grows at its end, and whose oldest items are let go of one by one. */
export class Sliding<T> {
  /** Holes at the front, cut off now and then. */
  #items: (T | undefined)[] = [];
  #begin = 0;
  readonly #placeOf: (item: T) => number;

  constructor(placeOf: (item: T) => number) {
    this.#placeOf = placeOf;
  }

  get length(): number {
    return this.#items.length - this.#begin;
  }

  get first(): T | undefined {
    return this.#items.at(this.#begin);
  }

  get last(): T | undefined {
    return this.#items.at(-1);
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the oldest out. What is taken out is not kept from being collected. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#begin];
    this.#items[this.#begin++] = undefined;
    if (this.#begin >= MIN_CUT && this.#begin >= this.length) {
      this.#items = this.#items.slice(this.#begin);
      this.#begin = 0;
    }
    return item;
  }

  /** Takes all out. */
  clear(): T[] {
    const items = this.#items.slice(this.#begin) as T[];
    this.#items = [];
    this.#begin = 0;
    return items;
  }

  all(): T[] {
    return this.#items.slice(this.#begin) as T[];
  }

  /** Up to `most` items, from the last one on that begins at a place or before it; none, if the first begins later. */
  from(place: number, most: number): T[] {
    const items = this.#items as T[];
    let at = this.#begin;
    let behind = items.length;
    if (at === behind || this.#placeOf(items[at]) > place) return [];
    while (behind - at > 1) {
      const middle = (at + behind) >>> 1;
      if (this.#placeOf(items[middle]) <= place) at = middle;
      else behind = middle;
    }
    return items.slice(at, at + most);
  }
}

const MIN_CUT = 64;
