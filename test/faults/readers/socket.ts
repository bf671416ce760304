import { WebSocket } from 'ws';
import { authorization, PATIENCE_MS } from '../http.ts';
import type { Entrance } from '../contract.ts';
import { Refused } from './follower.ts';

export interface Talk {
  /** With the query. */
  path: string;
  protocol?: string;
  scope?: 'ingest' | 'read';
  /** In place of a header; it is up to `opened` to say the token. */
  withoutToken?: boolean;
  signal: AbortSignal;
  opened?: (socket: WebSocket) => void;
  /** Of each text frame. */
  message: (text: string, socket: WebSocket) => void;
}

/**
 * One WebSocket from its beginning to its end. Pings the relay, and gives up when it hears nothing for PATIENCE_MS.
 * Resolves when the socket is closed, whatever the reason; rejects with a Refused if coming back is in vain, and with
 * what `message` throws.
 */
export async function talk(entrance: Entrance, options: Talk): Promise<void> {
  const { path, protocol, scope = 'read', signal, opened, message } = options;
  if (signal.aborted) return;
  const { url, ca } = entrance;
  const socket = new WebSocket(url.replace('http', 'ws') + path, protocol === undefined ? [] : [protocol], {
    ...(ca !== undefined && { ca }),
    headers: options.withoutToken === true ? {} : authorization(entrance, scope),
    handshakeTimeout: PATIENCE_MS,
    perMessageDeflate: false,
  });
  const over = Promise.withResolvers<undefined>();
  let heard = performance.now();
  const watch = setInterval(() => {
    if (performance.now() - heard > PATIENCE_MS) socket.terminate();
    else if (socket.readyState === WebSocket.OPEN) socket.ping();
  }, PATIENCE_MS / 3);
  const leave = (): void => {
    if (socket.readyState === WebSocket.OPEN) socket.close(1000);
    else socket.terminate();
  };
  signal.addEventListener('abort', leave);
  socket.on('open', () => {
    heard = performance.now();
    opened?.(socket);
  });
  socket.on('pong', () => (heard = performance.now()));
  socket.on('message', (data) => {
    heard = performance.now();
    // What comes behind the wish to leave belongs to the next connection.
    if (signal.aborted) return;
    try {
      // ws hands out one Buffer a message unless told otherwise.
      message((data as Buffer).toString('utf8'), socket);
    } catch (error) {
      over.reject(error);
      socket.terminate();
    }
  });
  socket.on('unexpected-response', (_request, response) => {
    const { statusCode = 0 } = response;
    response.resume();
    if (isInVain(statusCode)) over.reject(new Refused(`HTTP ${statusCode} for ${path}`));
    socket.terminate();
  });
  socket.on('error', () => undefined);
  socket.on('close', (code, reason) => {
    if (code >= 4000 && code <= 4099) over.reject(new Refused(`close code ${code} (${reason.toString()}) for ${path}`));
    else over.resolve(undefined);
  });
  try {
    await over.promise;
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', leave);
    if (socket.readyState !== WebSocket.CLOSED) socket.terminate();
  }
}

/** Whether an HTTP status says that the same will never work. */
export function isInVain(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}
