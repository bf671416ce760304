import type { IncomingMessage } from 'node:http';
import { WebSocket, type RawData } from 'ws';
import type { TailConnect, TailSocket, TailSocketEvents } from '../client/tail-connection.ts';
import { VIEW_SUBPROTOCOL } from '../shared/viewer-messages.ts';
import { brokenConnection, closedConnection, refusedUpgrade } from './uplink-refusal.ts';

/** Connects to a task's log with `ws`. `url`: where tasks are, without the task. */
export function viewerConnect(options: {
  url: string;
  task: string;
  headers: Record<string, string>;
  timeoutMs: number;
}): TailConnect {
  const url = `${options.url.replace(/\/+$/, '')}/${encodeURIComponent(options.task)}`;
  return (events) => connect(url, { ...options, name: options.url }, events);
}

function connect(
  url: string,
  { name, headers, timeoutMs }: { name: string; headers: Record<string, string>; timeoutMs: number },
  events: TailSocketEvents,
): TailSocket {
  const socket = new WebSocket(url, VIEW_SUBPROTOCOL, {
    headers,
    handshakeTimeout: timeoutMs,
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
  });
  let done = false;
  const closed: TailSocketEvents['closed'] = (closing) => {
    if (done) return;
    done = true;
    socket.terminate();
    events.closed(closing);
  };
  socket.on('open', () => events.open());
  socket.on('message', (data) => events.message(textOf(data)));
  socket.on('unexpected-response', (_request, response) => {
    void readBody(response).then((body) => closed(refusedUpgrade(name, response.statusCode ?? 0, body)));
  });
  socket.on('error', (error) => closed(brokenConnection(name, error)));
  socket.on('close', (code, reason) => closed(closedConnection(name, code, reason.toString())));
  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => {
      done = true;
      // Nothing is under way that the relay would miss.
      socket.terminate();
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}

function textOf(data: RawData): string {
  // ws hands out one Buffer a message unless told otherwise.
  return (data as Buffer).toString();
}

/** The beginning of an HTTP answer. */
async function readBody(response: IncomingMessage): Promise<string> {
  let body = '';
  try {
    for await (const part of response.setEncoding('utf8')) {
      body += part as string;
      if (body.length > MAX_BODY_CHARACTERS) break;
    }
  } catch {
    // The status says enough.
  }
  return body;
}

/** A message with the longest line there is, each byte escaped. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;
const MAX_BODY_CHARACTERS = 8192;
