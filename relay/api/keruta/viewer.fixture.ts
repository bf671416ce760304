import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import type { MergedMessage, ViewerMessage } from '../../../shared/viewer-messages.ts';
import { ANYBODY } from '../../auth/principal.ts';
import { MergedReader } from '../../merged/merged-reader.ts';
import { until, type Reading } from '../../reading.fixture.ts';
import { openSenders, SOMEBODY } from '../../senders/senders.fixture.ts';
import { serveViewer, type ViewerOptions } from './viewer.ts';

/** Serves viewers at `ws://…/{taskId}`, and at `ws://…/` without a task, until the test is over. */
export async function serveViewers(
  t: TestContext,
  reading: Reading,
  options: Partial<ViewerOptions> = {},
): Promise<ViewerServer> {
  const senders = options.senders ?? (await openSenders(t, reading));
  const { reader, store } = reading;
  const merged = options.merged ?? new MergedReader({ store, reader });
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  server.on('connection', (socket, request) => {
    serveViewer(socket, {
      taskId: decodeURIComponent((request.url ?? '').slice(1)) || undefined,
      caller: SOMEBODY,
      visit: SOMEBODY,
      authenticate: () => Promise.resolve(ANYBODY),
      ...{ reader, merged },
      pipelines: store,
      senders,
      ...options,
    });
  });
  await once(server, 'listening');
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

export interface ViewerServer {
  url: string;
  server: WebSocketServer;
}

type AnyMessage = ViewerMessage | MergedMessage;

/** A viewer that keeps every message. */
export class TestViewer {
  readonly messages: ViewerMessage[] = [];
  /** Frames as they came. */
  readonly frames: string[] = [];
  readonly socket: WebSocket;
  closed: number | undefined;

  constructor(url: string, protocol?: string) {
    this.socket = new WebSocket(url, protocol);
    this.socket.on('message', (data) => {
      const frame = (data as Buffer).toString();
      this.frames.push(frame);
      const parsed = JSON.parse(frame) as ViewerMessage | ViewerMessage[];
      this.messages.push(...(Array.isArray(parsed) ? parsed : [parsed]));
    });
    this.socket.on('close', (code) => (this.closed = code));
  }

  say(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async opened(): Promise<this> {
    await once(this.socket, 'open');
    return this;
  }

  of<T extends ViewerMessage['type']>(type: T): Extract<ViewerMessage, { type: T }>[] {
    return this.messages.filter((message): message is Extract<ViewerMessage, { type: T }> => message.type === type);
  }

  async saw(type: ViewerMessage['type'], count = 1): Promise<void> {
    await until(() => this.of(type).length >= count);
  }

  /** What came of the subscription of this name, as the messages `for` say it; null: of those without one. */
  within(name: string | null): AnyMessage[] {
    let current: string | null = null;
    return this.messages.filter((message) => {
      if (message.type === 'for') current = message.subscription;
      const shared = message.type === 'log' || message.type === 'gap' || message.type === 'end';
      return shared
        ? current === name
        : 'subscription' in message && message.type !== 'for' && message.subscription === name;
    });
  }

  /** The texts of that subscription's lines. */
  texts(name: string | null): string[] {
    return this.within(name).flatMap((message) => (message.type === 'log' ? message.message : []));
  }

  /** The lines' texts by number. */
  get lines(): string[] {
    return this.of('log').map((log) => `${log.lineNumber} ${log.message}`);
  }
}
