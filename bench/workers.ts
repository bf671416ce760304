import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { FrameCutter, frameOf } from '../relay/api/otto/grpc/frames.ts';
import { loadServices } from '../relay/api/otto/grpc/services.ts';
import { freePort } from './free-port.ts';
import { cpuSeconds } from './processes.ts';
import { repeat, type Bench } from './stage.ts';
import { median, rowOf, type Row } from './table.ts';

const WORKERS = 50;
/** Entries that a worker has unanswered. */
const IN_FLIGHT = 1024;
const AT_ONCE = 128;

/**
 * Workers that send entries over gRPC, each over a connection of its own, as fast as they are acknowledged. They speak
 * HTTP/2 with messages made beforehand, so that they leave the relay its share of the machine.
 */
export async function* workerRows({ programs, scale }: Bench): AsyncGenerator<Row> {
  const perWorker = Math.round((scale.smoke ? 2000 : 20_000) / AT_ONCE) * AT_ONCE;
  const port = await freePort();
  const relay = await programs.relay('workers', { args: ['--grpc-port', String(port)] });
  const workers = Array.from({ length: WORKERS }, (_, i) => new Worker(port, i));
  try {
    // Warm, and each with its run open.
    await Promise.all(workers.map((worker) => worker.send(AT_ONCE)));
    const entries = WORKERS * perWorker;
    const runs = await repeat(scale.runs, async () => {
      const [cpu, start] = [cpuSeconds(relay.pid), performance.now()];
      await Promise.all(workers.map((worker) => worker.send(perWorker)));
      const seconds = (performance.now() - start) / 1000;
      return { rate: entries / seconds / 1000, cpu: (cpuSeconds(relay.pid) - cpu) / (entries / 1e6) };
    });
    yield rowOf(
      runs.map(({ rate }) => rate),
      {
        stage: 'workers',
        what: `${WORKERS} gRPC workers, an entry a line, each answered after fsync`,
        unit: 'k entries/s',
        note: `${median(runs.map(({ cpu }) => cpu)).toFixed(1)} CPU-s of the relay a million entries`,
      },
    );
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
