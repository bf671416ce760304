import { once } from 'node:events';
import {
  connect as connectHttp2,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { frameOf } from './frames.ts';
import type { LogEntryMessage } from './messages.ts';
import { loadServices } from './services.ts';

/** ForwardWorkerLogs by HTTP/2 alone: a client that can do what gRPC's never do. */
export class RawStream {
  readonly stream: ClientHttp2Stream;
  readonly closed: Promise<unknown>;
  /** gRPC's status, once it came. */
  status: string | undefined;
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;

  private constructor(session: ClientHttp2Session, socket: Socket, headers: OutgoingHttpHeaders) {
    this.#session = session;
    this.#socket = socket;
    session.on('error', () => undefined);
    this.stream = session.request({ ...HEADERS, ...headers }, { endStream: false });
    this.stream.on('response', (all) => (this.status = all['grpc-status'] as string | undefined));
    this.stream.on('trailers', (all: IncomingHttpHeaders) => (this.status = all['grpc-status'] as string | undefined));
    this.stream.resume();
    this.stream.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.stream.once('close', resolve));
  }

  static async open(t: TestContext, port: number | undefined, headers: OutgoingHttpHeaders = {}): Promise<RawStream> {
    const socket = connect(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    socket.on('error', () => undefined);
    const session = connectHttp2(`http://127.0.0.1:${port}`, { createConnection: () => socket });
    t.after(() => session.destroy());
    return new RawStream(session, socket, headers);
  }

  /** Resolves when the server has taken all from its connection, in whatever buffer it then is. */
  async send(...entries: Partial<LogEntryMessage>[]): Promise<void> {
    const frames = entries.map(framed);
    await new Promise((resolve) => this.stream.write(Buffer.concat(frames), resolve));
    await this.ponged();
  }

  /** Resolves when the server has answered a ping, which it does behind all that came before. */
  async ponged(): Promise<void> {
    await new Promise((resolve) => this.#session.ping(resolve));
  }

  halfClose(): void {
    this.stream.end();
  }

  cancel(): void {
    this.stream.close(constants.NGHTTP2_CANCEL);
  }

  /** Closes the connection without a word of HTTP/2. */
  cut(): void {
    this.#socket.destroy();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }
}

const { ForwardWorkerLogs } = loadServices().handlers;

/** An entry as gRPC sends it. */
export function framed(entry: Partial<LogEntryMessage>): Buffer {
  return frameOf(ForwardWorkerLogs.requestSerialize(entry));
}

const HEADERS = {
  ':method': 'POST',
  ':path': ForwardWorkerLogs.path,
  'content-type': 'application/grpc',
  te: 'trailers',
};
