import { WebSocket, type RawData } from 'ws';
import type { ClientSocket, Closing, OpenSocket, SocketEvents } from '../client/socket.ts';
import { VIEW_SUBPROTOCOL } from '../shared/viewer-messages.ts';
import { proxyAgent, publicUrl, taskUrl, type Dialer } from './dialer.ts';
import { readRefusal } from './http-answer.ts';
import { brokenConnection, closedConnection, refusedUpgrade } from './uplink-refusal.ts';

/**
 * Connects to a task's log with `ws`. Where one relay can't be reached the next is tried at once; the one that let us
 * in is the first to be tried again.
 */
export function viewerConnect(options: ViewerOptions): OpenSocket {
  const { urls } = options;
  let relay = 0;
  let failed = 0;
  let worthwhile = false;
  return (events) =>
    connect(urls[relay], options, {
      ...events,
      open: () => {
        failed = 0;
        worthwhile = false;
        events.open();
      },
      closed: (closing, opened) => {
        if (opened) {
          events.closed(closing);
          return;
        }
        relay = (relay + 1) % urls.length;
        worthwhile ||= closing.retry;
        const atOnce = ++failed % urls.length !== 0;
        events.closed({ ...closing, retry: atOnce || worthwhile, ...(atOnce && { atOnce }) });
        if (!atOnce) worthwhile = false;
      },
    });
}

interface Events extends Omit<SocketEvents, 'closed'> {
  closed(closing: Closing, opened: boolean): void;
}

function connect(url: string, { dialer, task, timeoutMs }: ViewerOptions, events: Events): ClientSocket {
  let socket: WebSocket | undefined;
  let opened = false;
  let done = false;
  const closed = (closing: Closing): void => {
    if (done) return;
    done = true;
    socket?.terminate();
    events.closed(closing, opened);
  };
  const open = async (): Promise<void> => {
    const { name, headers, tls, proxy } = await dialer.way(url);
    const agent = proxy && (await proxyAgent(proxy, tls));
    if (done) return;
    socket = new WebSocket(taskUrl(url, task), VIEW_SUBPROTOCOL, {
      ...tls,
      ...(agent && { agent }),
      headers,
      handshakeTimeout: timeoutMs,
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
    });
    socket.on('open', () => {
      opened = true;
      events.open();
    });
    socket.on('message', (data) => events.message(textOf(data)));
    socket.on('unexpected-response', (_request, response) => {
      void readRefusal(response).then((refusal) => closed(refusedUpgrade(name, refusal)));
    });
    socket.on('error', (error) => closed(brokenConnection(name, error)));
    socket.on('close', (code, reason) => closed(closedConnection(name, code, reason.toString())));
  };
  open().catch((error: unknown) => {
    closed({ retry: true, problem: `can't connect to ${publicUrl(url)}: ${(error as Error).message}` });
  });
  return {
    send: (text) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => {
      done = true;
      // Nothing is under way that the relay would miss.
      socket?.terminate();
    },
    pause: () => socket?.pause(),
    resume: () => socket?.resume(),
  };
}

function textOf(data: RawData): string {
  // ws hands out one Buffer a message unless told otherwise.
  return (data as Buffer).toString();
}

export interface ViewerOptions {
  /** Where tasks are, without the task, of each relay; the first choice first. */
  urls: readonly string[];
  task: string;
  dialer: Pick<Dialer, 'way'>;
  timeoutMs: number;
}

/** A message with the longest line there is, each byte escaped. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;
