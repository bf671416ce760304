/**
 * When acks leave. An agent that has nothing else under way is waiting for its ack to send what has gathered since: it
 * gets it at once. To a busy one, acks of up to 20 ms go as one message, and its next chunks grow meanwhile. Whatever
 * one commit brought is one message a connection either way.
 */
export class AckQueue {
  readonly #now = new Set<Acknowledging>();
  readonly #later = new Set<Acknowledging>();
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `link` owes an ack. Said again, the sooner one counts. */
  due(link: Acknowledging, when: 'now' | 'soon'): void {
    if (when === 'now') {
      this.#now.add(link);
      this.#immediate ??= setImmediate(() => this.#sendNow());
    } else {
      this.#later.add(link);
      this.#timer ??= setTimeout(() => this.#sendLater(), DELAY_MS);
    }
  }

  stop(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#now.clear();
    this.#later.clear();
  }

  #sendNow(): void {
    this.#immediate = undefined;
    for (const link of this.#now) {
      this.#later.delete(link);
      link.sendAck();
    }
    this.#now.clear();
  }

  #sendLater(): void {
    this.#timer = undefined;
    for (const link of this.#later) link.sendAck();
    this.#later.clear();
  }
}

export interface Acknowledging {
  /** Sends the ack that is owed, if there still is one. */
  sendAck(): void;
}

const DELAY_MS = 20;
