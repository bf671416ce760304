import { VIEW_SUBPROTOCOL } from '../shared/viewer-messages.ts';
import type { ClientErrorCode } from './errors.ts';
import type { ClientSocket, Closing, OpenSocket, SocketEvents } from './socket.ts';

/** Connects to `url` with the WebSocket that browsers have, and Node. */
export function webSocketOpener(url: string): OpenSocket {
  return (events) => open(url, events);
}

function open(url: string, events: SocketEvents): ClientSocket {
  let done = false;
  const closed = (closing: Closing): void => {
    if (done) return;
    done = true;
    clearTimeout(patience);
    events.closed(closing);
  };
  const socket = new WebSocket(url, VIEW_SUBPROTOCOL);
  const patience = setTimeout(() => {
    closed({ retry: true, problem: `${url} has not answered for ${OPEN_PATIENCE_MS / 1000} s` });
    socket.close();
  }, OPEN_PATIENCE_MS);
  let opened = false;
  socket.onopen = () => {
    opened = true;
    clearTimeout(patience);
    if (!done) events.open();
  };
  socket.onmessage = ({ data }: { data: unknown }) => {
    // Frames of bytes are not of this protocol: as text they are no JSON, which is seen where that is read.
    if (!done) events.message(typeof data === 'string' ? data : '');
  };
  // What is wrong is not told to pages; `close` follows.
  socket.onerror = () => undefined;
  socket.onclose = ({ code, reason }) => closed(opened ? closingOf(url, code, reason) : unopened(url));
  return {
    send: (text) => {
      if (socket.readyState === OPEN) socket.send(text);
    },
    close: () => {
      done = true;
      clearTimeout(patience);
      socket.close();
    },
  };
}

function unopened(url: string): Closing {
  const problem = `${url} can't be reached, is no relay, or does not let this page connect`;
  return { retry: true, code: 'UNREACHABLE', problem };
}

/** Codes 4000 to 4099 mean that coming back is in vain. */
function closingOf(url: string, code: number, reason: string): Closing {
  const what = code === 1006 ? 'the connection broke' : `the relay closed the connection (${code})`;
  return {
    retry: code < 4000 || code >= 4100,
    code: CODES[code],
    problem: `${url}: ${what}${reason === '' ? '' : `: ${reason}`}`,
  };
}

const CODES: Readonly<Record<number, ClientErrorCode>> = { 4001: 'UNAUTHORIZED', 4003: 'FORBIDDEN' };
/** `WebSocket.OPEN`, which is no constant of every implementation. */
const OPEN = 1;
const OPEN_PATIENCE_MS = 30_000;
