import type { SubscribeMessage } from '../shared/viewer-messages.ts';
import type { OpenSocket, SocketEvents } from './socket.ts';
import type { Said } from './relay.fixture.ts';

/**
 * A relay that keeps its promises and does nothing by itself: logs of numbered lines, connections that break when the
 * test says so, frames that leave when the test says so.
 */
export class ModelRelay {
  /** Lines of each task. */
  readonly lines = new Map<string, number>();
  connections = 0;
  unsubscribes = 0;
  readonly #sockets = new Set<ModelSocket>();
  readonly #lineLength: number;

  constructor(options: { lineLength: number }) {
    this.#lineLength = options.lineLength;
  }

  readonly open: OpenSocket = (events) => {
    const socket = new ModelSocket(events, this.lines, this.#lineLength);
    this.connections++;
    this.#sockets.add(socket);
    queueMicrotask(() => socket.open());
    return {
      send: (text) => {
        const said = JSON.parse(text) as Said;
        if (said.type === 'unsubscribe') this.unsubscribes++;
        socket.take(said);
      },
      close: () => {
        socket.gone = true;
        this.#sockets.delete(socket);
      },
    };
  };

  write(task: string, lines: number): void {
    this.lines.set(task, (this.lines.get(task) ?? 0) + lines);
  }

  /** Lets each connection send up to so many lines of each subscription. */
  send(lines: number): void {
    for (const socket of this.#sockets) socket.send(lines);
  }

  cut(): void {
    for (const socket of this.#sockets) {
      this.#sockets.delete(socket);
      socket.cut();
    }
  }
}

class ModelSocket {
  gone = false;
  readonly #events: SocketEvents;
  readonly #lines: ReadonlyMap<string, number>;
  readonly #text: string;
  /** The next line of each subscription, and whose it is. */
  readonly #subscriptions = new Map<string, { task: string; next: number }>();
  #current: string | undefined;

  constructor(events: SocketEvents, lines: ReadonlyMap<string, number>, lineLength: number) {
    this.#events = events;
    this.#lines = lines;
    this.#text = 'x'.repeat(lineLength);
  }

  open(): void {
    if (!this.gone) this.#events.open();
  }

  take(said: Said): void {
    if (this.gone) return;
    if (said.type === 'unsubscribe') this.#subscriptions.delete(said.subscription);
    if (said.type !== 'subscribe') return;
    const { subscription = '', taskId = '', options } = said;
    const next = this.#placeOf(options ?? {}, taskId);
    this.#subscriptions.set(subscription, { task: taskId, next });
    this.#say([{ type: 'subscribed', subscription, taskId, cursor: `c${next}` }]);
  }

  send(lines: number): void {
    for (const [name, subscription] of this.#subscriptions) {
      const { task, next } = subscription;
      const end = Math.min(next + lines, (this.#lines.get(task) ?? 0) + 1);
      if (end === next) continue;
      if (this.#current !== name) this.#say({ type: 'for', subscription: name });
      this.#current = name;
      subscription.next = end;
      const batch = Array.from({ length: end - next }, (_, i) => next + i);
      this.#say(
        batch.map((line) => ({ type: 'log', id: `c${line}`, taskId: task, lineNumber: line, message: this.#text })),
      );
    }
  }

  cut(): void {
    this.gone = true;
    this.#events.closed({ retry: true, problem: 'cut' });
  }

  #placeOf({ from, after }: NonNullable<SubscribeMessage['options']>, task: string): number {
    if (after !== undefined) return Number(after.slice(1)) + 1;
    if (from === 'now') return (this.#lines.get(task) ?? 0) + 1;
    return from === 'start' || from === undefined ? 1 : Number(String(from).slice(1));
  }

  #say(message: object): void {
    if (!this.gone) this.#events.message(JSON.stringify(message));
  }
}
