import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { checkCrc, CHUNK_HEADER_BYTES, CODEC_GAP, readHeader } from '../shared/chunk.ts';
import { decodeLines, decompress } from '../shared/columns.ts';
import { parseAgentMessage, type AgentMessage, type End, type Hello } from '../shared/agent-message.ts';
import { type RelayMessage } from '../shared/relay-message.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { advance, EMPTY_CHAIN, readRecord, type Chain } from './spool-record.ts';

/**
 * A relay for tests: keeps the protocol of shared/wire.ts, stores in memory, and misbehaves on demand. What it finds
 * wrong with the agent goes to `problems`.
 */
export class FakeRelay {
  url = '';
  epoch = 'epoch-1';
  windowBytes = 4 * 1024 * 1024;
  faults: Faults = {};
  runs = new Map<string, FakeRun>();
  problems: string[] = [];
  hellos: Hello[] = [];
  requests: { url: string; headers: Record<string, string | string[] | undefined> }[] = [];
  progress: number[] = [];
  /** The most bytes that were received and not acknowledged. */
  mostUnacked = 0;
  readonly #sockets = new Set<WebSocket>();
  #http: Server | undefined;
  #port = 0;
  #waiters: (() => void)[] = [];

  async start(): Promise<this> {
    const http = createServer((_request, response) => response.end('hello'));
    const server = new WebSocketServer({
      noServer: true,
      handleProtocols: () => this.faults.subprotocol ?? SUBPROTOCOL,
    });
    http.on('upgrade', (request, socket, head) => {
      const { refusal } = this.faults;
      this.requests.push({ url: request.url ?? '', headers: request.headers });
      if (refusal) {
        const length = Buffer.byteLength(refusal.body);
        socket.end(
          `HTTP/1.1 ${refusal.status} No\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n${refusal.body}`,
        );
        this.changed();
        return;
      }
      server.handleUpgrade(request, socket, head, (ws) => this.#accept(ws));
    });
    http.listen(this.#port, '127.0.0.1');
    await once(http, 'listening');
    this.#http = http;
    this.#port = (http.address() as AddressInfo).port;
    this.url = `ws://127.0.0.1:${this.#port}/ws/tasks`;
    return this;
  }

  /** Stops listening and cuts every connection. `start` takes the same port again. */
  async stop(): Promise<void> {
    const http = this.#http;
    this.#http = undefined;
    this.cut();
    if (!http) return;
    http.close();
    http.closeAllConnections();
    await once(http, 'close');
  }

  cut(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  /** Misbehaves from the next connection on. */
  turn(faults: Faults): void {
    this.faults = faults;
    this.cut();
  }

  close(code: number, reason: string): void {
    for (const socket of this.#sockets) socket.close(code, reason);
  }

  say(frame: string | Buffer): void {
    for (const socket of this.#sockets) socket.send(frame);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Resolves when `is` is true; looks whenever something has happened. */
  async until(is: () => boolean): Promise<void> {
    while (!is()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  changed(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** The only run, or the newest. */
  get run(): FakeRun {
    const run = [...this.runs.values()].at(-1);
    if (!run) throw new Error('no run');
    return run;
  }

  /** A copy of what is stored, as a backup. */
  backup(): Map<string, FakeRun> {
    return new Map([...this.runs].map(([id, run]) => [id, { ...run, records: [...run.records] }]));
  }

  /** Goes on with holding back nothing. */
  release(): void {
    this.faults = {};
    for (const run of this.runs.values()) run.ack?.();
  }

  #accept(socket: WebSocket): void {
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.changed();
    });
    const send = (message: RelayMessage): void => socket.send(JSON.stringify(message));
    let run: FakeRun | undefined;
    let unacked = 0;
    let dropping = false;
    const ack = (): void => {
      if (!run || this.faults.noAcks === true) return;
      unacked = 0;
      send({ type: 'ack', nextSeq: run.chain.seq });
    };
    socket.on('message', (data: Buffer, isBinary) => {
      try {
        if (this.faults.onFrame?.(data, isBinary, socket) === true) return;
        if (!isBinary) {
          const message = parseAgentMessage(data.toString());
          if (message.type === 'hello') run = this.#hello(message, send, ack);
          else if (!run) throw new Error(`${message.type} before hello`);
          else this.#control(message, run, send);
          return;
        }
        if (!run) throw new Error('a chunk before hello');
        unacked += data.length;
        this.mostUnacked = Math.max(this.mostUnacked, unacked);
        const record = readRecord(data);
        checkCrc(data);
        if (record.run !== run.id) throw new Error('a chunk of another run');
        if (dropping && record.firstSeq > run.chain.seq) return;
        const refusal = this.faults.refuse?.(record.firstSeq, data);
        if (refusal || record.firstSeq > run.chain.seq) {
          dropping = true;
          unacked = 0;
          send({ type: 'refused', nextSeq: run.chain.seq, reason: refusal ?? 'expected', message: 'as the test asks' });
          return;
        }
        dropping = false;
        if (record.firstSeq === run.chain.seq) {
          run.records.push(Buffer.from(data));
          run.chain = advance(run.chain, record);
        } else if (record.firstSeq + record.count > run.chain.seq) throw new Error('an overlapping chunk');
        ack();
      } catch (error) {
        this.problems.push((error as Error).message);
      } finally {
        this.changed();
      }
    });
  }

  #hello(hello: Hello, send: (message: RelayMessage) => void, ack: () => void): FakeRun {
    this.hellos.push(hello);
    let run = this.runs.get(hello.run);
    if (!run) {
      run = { id: hello.run, records: [], chain: EMPTY_CHAIN };
      this.runs.set(hello.run, run);
    }
    run.ack = ack;
    if (this.faults.noReady !== true) {
      const { seq: nextSeq, digest } = run.chain;
      send({
        type: 'ready',
        epoch: this.epoch,
        nextSeq,
        digest: this.faults.digest ?? digest,
        windowBytes: this.windowBytes,
      });
    }
    return run;
  }

  #control(message: Exclude<AgentMessage, Hello>, run: FakeRun, send: (message: RelayMessage) => void): void {
    if (message.type === 'progress') {
      this.progress.push(message.nextSeq);
      return;
    }
    run.end = message;
    const { seq: nextSeq, digest, lines, bytes } = run.chain;
    if (this.faults.noAcks === true) return;
    if (message.nextSeq > nextSeq) send({ type: 'ack', nextSeq });
    else if (
      message.digest === digest &&
      message.lines === lines &&
      message.bytes === bytes &&
      this.faults.unverified !== true
    ) {
      send({ type: 'verified', nextSeq });
    } else send({ type: 'unverified', nextSeq, digest });
  }
}

export interface FakeRun {
  id: string;
  records: Buffer[];
  chain: Chain;
  end?: End;
  ack?: () => void;
}

/** Members may be set and unset at any time. */
export interface Faults {
  noReady?: boolean;
  noAcks?: boolean;
  unverified?: boolean;
  /** Said in `ready` instead of the true one. */
  digest?: string;
  subprotocol?: string;
  /** An HTTP answer to the upgrade. */
  refusal?: { status: number; body: string };
  refuse?: (firstSeq: number, chunk: Buffer) => 'expected' | 'invalid' | undefined;
  /** True: the frame is dealt with. */
  onFrame?: (frame: Buffer, isBinary: boolean, socket: WebSocket) => boolean;
}

/** The text of a run's lines in order; a gap as `[reason from-to]`, both inclusive. */
export function linesOf(records: readonly Buffer[]): string[] {
  return records.flatMap((bytes) => {
    const header = readHeader(bytes);
    const last = header.firstSeq + header.count - 1;
    if (header.codec === CODEC_GAP) return [`[${header.reason} ${header.firstSeq}-${last}]`];
    const lines = decodeLines(header, decompress(header, bytes.subarray(CHUNK_HEADER_BYTES)));
    const ends = lines.starts.slice(1);
    return [...ends].map((end, i) => lines.text.toString('utf8', lines.starts[i], end - 1));
  });
}
