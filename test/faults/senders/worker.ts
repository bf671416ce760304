import { fileURLToPath } from 'node:url';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  status,
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Entrance } from '../contract.ts';
import { rest } from '../stage.ts';
import { Hopeless, Sender, type SenderOptions } from './sender.ts';

export interface WorkerOptions extends SenderOptions {
  /** Speaks for the worker; one that speaks for itself registers first. */
  handler: boolean;
}

/**
 * A worker of Otto's over gRPC. Each entry is answered, in order: what is not when a stream breaks is sent again, and may
 * be stored twice; what the relay asks for again comes later.
 */
export class WorkerSender extends Sender {
  readonly #handler: boolean;
  readonly #worker: { worker_id: string; task_id: string };
  /** Lines to be sent again, the first one first; behind them come those from `#next` on. */
  #again: number[] = [];
  #next = 0;
  readonly #stored = new Set<number>();
  /** Connects again by itself; a new one is taken only where nothing answers any more. */
  #services: Services | undefined;

  constructor({ handler, ...options }: WorkerOptions) {
    super(options);
    this.#handler = handler;
    this.#worker = { worker_id: `worker-of-${this.task}`, task_id: this.task };
  }

  protected override async session(signal: AbortSignal): Promise<void> {
    const services = (this.#services ??= new Services(this.entrance));
    const end = (): void => services.close();
    signal.addEventListener('abort', end);
    let lives = false;
    try {
      if (!this.#handler) await services.call('RegisterWorker', this.#worker);
      await this.#stream(services, signal);
      await services.call('NotifyWorkerStatus', { ...this.#worker, status: 'COMPLETED' });
    } catch (error) {
      lives = (error as Partial<ServiceError>).code === status.UNAVAILABLE;
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
      if (!lives || signal.aborted) {
        services.close();
        this.#services = undefined;
      }
    }
  }

  /** Sends until all is stored. Rejects if the stream breaks, or brings no answer for PATIENCE_MS. */
  async #stream(services: Services, signal: AbortSignal): Promise<void> {
    const stream = services.open(this.#handler);
    const unanswered: number[] = [];
    const over = new AbortController();
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => over.abort());
    signal.addEventListener('abort', () => broken.reject(new Error('it is to end')), { signal: over.signal });
    let heard = performance.now();
    const watch = setInterval(() => {
      if (unanswered.length === 0) heard = performance.now();
      else if (performance.now() - heard > PATIENCE_MS) broken.reject(new Error('no answer'));
    }, PATIENCE_MS / 4);
    stream.on('data', (answer: Answer) => {
      heard = performance.now();
      // What was not answered by now is sent again.
      if (over.signal.aborted) return;
      try {
        this.#answered(unanswered.shift(), answer);
      } catch (error) {
        broken.reject(error);
      }
    });
    const ended = new Promise<void>((resolve) => stream.once('end', resolve));
    stream.on('error', (error: ServiceError) => broken.reject(hopelessOr(error)));
    void ended.then(() => broken.reject(new Error('the stream ended')));
    try {
      while (!this.done) {
        for (const index of this.#take()) {
          unanswered.push(index);
          stream.write({ ...this.#worker, level: 'INFO', source: 'stdout', message: this.text(index) });
        }
        await Promise.race([this.news(over.signal), broken.promise]);
      }
    } finally {
      over.abort();
      clearInterval(watch);
      for (const index of unanswered) this.doubt(index, index + 1);
      this.#again = [...unanswered, ...this.#again].sort((a, b) => a - b);
      if (unanswered.length === 0) stream.end();
      else stream.cancel();
    }
    const quit = new AbortController();
    void ended.then(() => quit.abort());
    await rest(PATIENCE_MS, quit.signal);
  }

  /** What is to be sent now. */
  *#take(): Generator<number> {
    yield* this.#again.splice(0);
    while (this.#next < this.sent.count) yield this.#next++;
  }

  #answered(index: number | undefined, { status: said, message }: Answer): void {
    if (index === undefined) throw new Hopeless(`an answer that nothing was sent for: ${said} ${message}`);
    if (said === 'DROP' && !this.#handler && message.endsWith('not registered')) {
      // The relay was restarted since it registered: it does so again, and sends the line then.
      this.#again.push(index);
      throw new Error(message);
    }
    if (said === 'DROP') throw new Hopeless(`line ${index} was dropped: ${message}`);
    if (said === 'RETRY') {
      this.sent.retried.push(index);
      setTimeout(() => {
        this.#again.push(index);
        this.acknowledge(this.acknowledged);
      }, RETRY_MS);
      return;
    }
    this.#stored.add(index);
    let count = this.acknowledged;
    while (this.#stored.delete(count)) count++;
    this.acknowledge(count);
  }
}

/** Both services, over a connection of their own. */
class Services {
  readonly #workers: Client & Record<string, unknown>;
  readonly #handlers: Client & Record<string, unknown>;
  readonly #metadata = new Metadata();

  constructor({ grpc, ca, tokens }: Entrance) {
    const { LogStreamingService, OttoHandlerLogService } = constructors();
    const channel = ca === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(ca));
    this.#workers = new LogStreamingService(grpc, channel, CHANNEL);
    this.#handlers = new OttoHandlerLogService(grpc, channel, CHANNEL);
    if (tokens !== undefined) this.#metadata.set('authorization', `Bearer ${tokens.ingest}`);
  }

  open(handler: boolean): ClientDuplexStream<object, Answer> {
    const client = handler ? this.#handlers : this.#workers;
    const method = client[handler ? 'ForwardWorkerLogs' : 'StreamLogs'] as Open;
    return method.call(client, this.#metadata);
  }

  call(name: 'RegisterWorker' | 'NotifyWorkerStatus', request: object): Promise<object> {
    const client = name === 'RegisterWorker' ? this.#workers : this.#handlers;
    const method = client[name] as Call;
    return new Promise((resolve, reject) => {
      method.call(client, request, this.#metadata, { deadline: Date.now() + PATIENCE_MS }, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(hopelessOr(error));
      });
    });
  }

  close(): void {
    this.#workers.close();
    this.#handlers.close();
  }
}

function hopelessOr(error: ServiceError): Error {
  return HOPELESS.has(error.code) ? new Hopeless(error.message) : error;
}

interface Answer {
  status: 'ACK' | 'RETRY' | 'DROP';
  message: string;
}

type Open = (metadata: Metadata) => ClientDuplexStream<object, Answer>;
type Call = (
  request: object,
  metadata: Metadata,
  options: object,
  done: (error: ServiceError | null, answer: object) => void,
) => void;
type Constructors = Record<
  'LogStreamingService' | 'OttoHandlerLogService',
  new (address: string, channel: ChannelCredentials, options: object) => Client & Record<string, unknown>
>;

let loaded: Constructors | undefined;

function constructors(): Constructors {
  if (loaded === undefined) {
    const definition = loadSync(PROTO, { keepCase: true, longs: Number, enums: String, defaults: true });
    ({ v1: loaded } = (
      loadPackageDefinition(definition) as unknown as { ottoscaler: { v1: Constructors } }
    ).ottoscaler);
  }
  return loaded;
}

const PROTO = fileURLToPath(new URL('../../../relay/api/otto/grpc/ottoscaler.proto', import.meta.url));
const CHANNEL = {
  // A connection of its own, not shared with other clients of the process.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // The certificate's, since an address is no name for TLS.
  'grpc.ssl_target_name_override': 'localhost',
};
const HOPELESS = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.INVALID_ARGUMENT,
  status.UNIMPLEMENTED,
]);
const PATIENCE_MS = 4000;
const RETRY_MS = 500;
