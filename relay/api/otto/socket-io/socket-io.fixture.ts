import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket as RawSocket } from 'node:net';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { Auth } from '../../../auth/auth.ts';
import { doorOf } from '../../../auth/door.fixture.ts';
import { Sessions } from '../../../auth/sessions.ts';
import { PipelineWatch } from '../../../pipelines/pipeline-watch.ts';
import { openReading, until, type Reading } from '../../../reading.fixture.ts';
import { RunFacts } from '../../../run-facts.ts';
import { PipelineProgress } from '../pipeline-progress.ts';
import { openSocketIo, type SocketIoParts } from '../socket-io.ts';
import { NAMESPACE } from './connection.ts';

/** Serves a store's tasks over Socket.IO until the test is over. */
export async function serveSocketIo(t: TestContext, given: Partial<SocketIoParts> = {}): Promise<Served> {
  const server = createServer();
  let stop = (): Promise<void> => Promise.resolve();
  // Before the store is closed.
  t.after(async () => {
    await stop();
    server.closeAllConnections();
    server.close();
  });
  const reading = await openReading(t);
  const { store, reader } = reading;
  const parts: SocketIoParts = {
    reader,
    runFacts: new RunFacts({ store }),
    progress: new PipelineProgress({ reader, pipelines: new PipelineWatch({ store }) }),
    door: doorOf(new Auth({})),
    sessions: new Sessions(),
    limits: { connect: () => () => undefined, request: () => undefined },
    config: { compression: true, sessionTimeoutMs: undefined, maxMessageBytes: 1024 * 1024 },
    meter: { failed: () => undefined, averageLatencyMs: () => Promise.resolve(0) },
    log: pino({ level: 'silent' }),
    now: Date.now,
    connections: () => 0,
    ...given,
  };
  const api = openSocketIo(parts);
  stop = () => api.stop();
  server.on('request', (request, response) => api.mount.request(request, response));
  server.on('upgrade', (request, socket: RawSocket, head: Buffer) => api.mount.upgrade(request, socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { ...reading, parts, api, server, url: `http://127.0.0.1:${port}` };
}

export interface Served extends Reading {
  parts: SocketIoParts;
  api: ReturnType<typeof openSocketIo>;
  server: Server;
  url: string;
}

/** A client of its own connection that keeps everything that it is told. */
export class TestClient {
  readonly socket: Socket;
  readonly events: { event: string; body: Record<string, unknown> }[] = [];

  constructor(t: TestContext, url: string, options: Partial<ManagerOptions & SocketOptions> = {}) {
    this.socket = io(url + NAMESPACE, { forceNew: true, transports: ['websocket'], reconnection: false, ...options });
    this.socket.onAny((event: string, body: Record<string, unknown>) => this.events.push({ event, body }));
    t.after(() => this.socket.disconnect());
  }

  of(event: string): Record<string, unknown>[] {
    return this.events.filter((one) => one.event === event).map(({ body }) => body);
  }

  /** Resolves with the body of the `count`-th event of this name. */
  async saw(event: string, count = 1): Promise<Record<string, unknown>> {
    await until(() => this.of(event).length >= count);
    return this.of(event)[count - 1];
  }

  /** The messages of all entries. */
  get messages(): unknown[] {
    return this.of('log-entry').map(({ message }) => message);
  }
}
