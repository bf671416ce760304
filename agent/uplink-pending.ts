import type { Connection, ConnectionEvents } from './uplink-connection.ts';

/** A connection that something has to be got ready for: a token to be read, a module to be loaded. */
export class PendingConnection implements Connection {
  #connection: Connection | undefined;
  #closed = false;

  /** `open` answers the connection, which reports to the events that it is given; if it rejects, that is to be tried again. */
  constructor(name: string, events: ConnectionEvents, open: (events: ConnectionEvents) => Promise<Connection>) {
    open(events).then(
      (connection) => {
        this.#connection = connection;
        if (this.#closed) connection.close();
      },
      (error: unknown) => {
        if (this.#closed) return;
        const problem = `can't connect to ${name}: ${(error as Error).message}`;
        events.onClose({ retry: true, problem });
      },
    );
  }

  get bufferedBytes(): number {
    return this.#connection?.bufferedBytes ?? 0;
  }

  send(frame: Buffer | string): void {
    this.#connection?.send(frame);
  }

  close(): void {
    this.#closed = true;
    this.#connection?.close();
  }
}
