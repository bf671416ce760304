import type { Connection } from './connection.ts';

/**
 * Bounds what one poll brings, as there are clients that refuse a longer answer whole. What is beyond waits in its place
 * for the next poll, and so do those who write. WebSockets are left alone.
 */
export function boundPolls(connection: Connection): void {
  let rest: unknown[] = [];
  connection.on('flush', (packets) => {
    if (connection.transport.name === 'polling') rest = packets.splice(MAX_POLLED_PACKETS);
  });
  // Comes right behind, when engine.io has made itself a new buffer.
  connection.on('drain', () => {
    connection.writeBuffer.unshift(...rest);
    rest = [];
  });
}

/** One below what Python's client takes: engine.io itself may add a last one that says that it closes. */
export const MAX_POLLED_PACKETS = 15;
