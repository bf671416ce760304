import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { FrameCutter, frameOf } from '../relay/api/otto/grpc/frames.ts';
import { loadServices } from '../relay/api/otto/grpc/services.ts';
import { cpuSeconds, startServer } from './processes.ts';
import type { Row } from './table.ts';

const ROOT = join(import.meta.dirname, '..');
const WORKERS = 50;
/** Entries that a worker has unanswered. */
const IN_FLIGHT = 1024;
const AT_ONCE = 128;

/**
 * Workers that send entries over gRPC, each over a connection of its own, as fast as they are acknowledged. They speak
 * HTTP/2 with messages made beforehand, so that they leave the relay its share of the machine.
 */
export async function* workerRows(folder: string, scale: number): AsyncGenerator<Row> {
  const perWorker = Math.round((20_000 * scale) / AT_ONCE) * AT_ONCE;
  const data = join(folder, 'workers');
  mkdirSync(data);
  const port = await freePort();
  const command = [process.execPath, join(ROOT, 'dist/relay.mjs'), '--port', '0', '--grpc-port', String(port)];
  const relay = await startServer([...command, '--data', data]);
  const workers = Array.from({ length: WORKERS }, (_, i) => new Worker(port, i));
  try {
    // Warm, and each with its run open.
    await Promise.all(workers.map((worker) => worker.send(AT_ONCE)));
    const [cpu, start] = [cpuSeconds(relay.pid), performance.now()];
    await Promise.all(workers.map((worker) => worker.send(perWorker)));
    const entries = WORKERS * perWorker;
    const seconds = (performance.now() - start) / 1000;
    const each = (cpuSeconds(relay.pid) - cpu) / (entries / 1e6);
    yield {
      stage: 'workers',
      what: `${WORKERS} gRPC workers, an entry a line, each answered after fsync`,
      value: entries / seconds / 1000,
      unit: 'k entries/s',
      note: `${each.toFixed(1)} CPU-s of the relay a million entries`,
    };
  } finally {
    for (const worker of workers) worker.close();
    await relay.stop();
  }
}

const { ForwardWorkerLogs } = loadServices().handlers;

class Worker {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  /** So many messages, to be written at once. */
  readonly #messages: Buffer;
  readonly #cutter = new FrameCutter(1024);
  #answered = 0;
  #sent = 0;
  #wake = (): void => undefined;

  constructor(port: number, number: number) {
    this.#session = connect(`http://127.0.0.1:${port}`);
    this.#stream = this.#session.request(
      { ':method': 'POST', ':path': ForwardWorkerLogs.path, 'content-type': 'application/grpc', te: 'trailers' },
      { endStream: false },
    );
    const entry = {
      ...{ worker_id: `worker-${number}`, task_id: 'bench', level: 'INFO', source: 'stdout' },
      ...{
        timestamp: '2026-01-02T03:04:05.678901234Z',
        message: `step ${number} of a build that says ${'so '.repeat(25)}`,
      },
    };
    const message = frameOf(ForwardWorkerLogs.requestSerialize(entry));
    this.#messages = Buffer.concat(Array.from({ length: AT_ONCE }, () => message));
    this.#stream.on('data', (bytes: Buffer) => {
      for (const _answer of this.#cutter.cut(bytes)) this.#answered++;
      this.#wake();
    });
  }

  /** Resolves when so many more entries are answered. */
  async send(count: number): Promise<void> {
    const until = this.#answered + count;
    while (this.#answered < until) {
      for (; this.#sent < until && this.#sent - this.#answered <= IN_FLIGHT - AT_ONCE; this.#sent += AT_ONCE)
        this.#stream.write(this.#messages);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(): void {
    this.#session.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
