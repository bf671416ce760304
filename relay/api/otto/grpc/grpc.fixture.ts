import { once } from 'node:events';
import type { TestContext } from 'node:test';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import pino from 'pino';
import type { RelayConfig } from '../../../../shared/options/relay-options.ts';
import { Auth } from '../../../auth/auth.ts';
import { doorOf } from '../../../auth/door.fixture.ts';
import type { Door } from '../../../auth/door.ts';
import { Sessions } from '../../../auth/sessions.ts';
import { Limits } from '../../../limits/limits.ts';
import { openReading, type Reading } from '../../../reading.fixture.ts';
import { relayConfig } from '../../../relay-config.fixture.ts';
import { openSenders, storeWith } from '../../../senders/senders.fixture.ts';
import type { Senders, SendersOptions } from '../../../senders/senders.ts';
import type { TlsFiles } from '../../../tls.ts';
import { openGrpc, type GrpcApi } from './grpc.ts';
import type { AnswerMessage, LogEntryMessage, StatusNotificationMessage } from './messages.ts';
import { PROTO_FILE } from './services.ts';

/** Otto's gRPC services over a real store; all gone after the test. */
export async function openServer(t: TestContext, given: ServerGiven = {}): Promise<TestServer> {
  const gate = new Gate();
  const clients: Client[] = [];
  const started: GrpcApi[] = [];
  // Said first, done first: nothing is left that waits for the store when that closes.
  t.after(async () => {
    gate.open();
    for (const client of clients) client.close();
    for (const api of started) await api.stop();
  });
  const reading = given.reading ?? (await openReading(t));
  const { store } = reading;
  const gated = storeWith(store, {
    open: async (run) => (await gate.passed(), store.open(run)),
    append: async (append) => (await gate.passed(), store.append(append)),
    end: async (end) => (await gate.passed(), store.end(end)),
  });
  const limits = new Limits(relayConfig({ dataDir: '', ...given.config }));
  const senders = await openSenders(t, { ...reading, store: gated }, { limits, ...given.senders });
  const answered = { ACK: 0, RETRY: 0, DROP: 0 };
  const meter = {
    entriesAnswered: (answer: 'ACK' | 'RETRY' | 'DROP', count: number) => void (answered[answer] += count),
    failed: () => undefined,
  };
  const sessions = new Sessions();
  const auth = given.auth ?? new Auth({});
  const api = openGrpc({
    ...{ senders, limits, sessions, meter, tls: given.tls, reader: reading.reader },
    ...(given.stopPatienceMs !== undefined && { stopPatienceMs: given.stopPatienceMs }),
    door: doorFrom(doorOf(auth), given.address),
    config: relayConfig({ dataDir: '', grpcPort: 0, ...given.config }),
    log: pino({ level: 'silent' }),
    now: Date.now,
  });
  await api.start();
  started.push(api);
  const client = (options: ClientGiven = {}): TestClient => {
    const made = new TestClient(`localhost:${options.port ?? api.port}`, options);
    clients.push(made.streams, made.handlers);
    return made;
  };
  return { reading, gate, senders, sessions, api, answered, client };
}

/** A door that clients come to from this address. */
function doorFrom(door: Door, address: string | undefined): Door {
  if (address !== undefined) door.addressOf = () => address;
  return door;
}

export interface ServerGiven {
  reading?: Reading;
  config?: Partial<RelayConfig>;
  senders?: Partial<SendersOptions>;
  auth?: Auth;
  tls?: TlsFiles;
  stopPatienceMs?: number;
  /** Where clients seem to come from. */
  address?: string;
}

export interface TestServer {
  reading: Reading;
  /** Stands between the senders and the store's writes; open unless it is closed. */
  gate: Gate;
  senders: Senders;
  sessions: Sessions;
  api: GrpcApi;
  answered: Record<'ACK' | 'RETRY' | 'DROP', number>;
  client: (options?: ClientGiven) => TestClient;
}

export interface ClientGiven {
  /** Default: the server's. */
  port?: number;
  token?: string;
  apiKey?: string;
  channel?: ChannelCredentials;
}

/** Lets through, or holds back. */
export class Gate {
  #closed: PromiseWithResolvers<void> | undefined;

  close(): void {
    this.#closed ??= Promise.withResolvers();
  }

  open(): void {
    this.#closed?.resolve();
    this.#closed = undefined;
  }

  async passed(): Promise<void> {
    await this.#closed?.promise;
  }
}

/** A client of both services, made from the description by grpc-js. */
export class TestClient {
  readonly streams: LogStreamingClient;
  readonly handlers: HandlerClient;
  readonly metadata = new Metadata();

  constructor(address: string, { token, apiKey, channel = credentials.createInsecure() }: ClientGiven = {}) {
    const { LogStreamingService, OttoHandlerLogService } = constructors();
    // A connection of its own, not shared with other clients of the process.
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    this.streams = new LogStreamingService(address, channel, options) as unknown as LogStreamingClient;
    this.handlers = new OttoHandlerLogService(address, channel, options) as unknown as HandlerClient;
    if (token !== undefined) this.metadata.set('authorization', `Bearer ${token}`);
    if (apiKey !== undefined) this.metadata.set('x-api-key', apiKey);
  }

  register(workerId: string, taskId: string, metadata?: object): Promise<Registered> {
    const request = { worker_id: workerId, task_id: taskId, ...(metadata && { metadata }) };
    return new Promise((resolve, reject) =>
      this.streams.RegisterWorker(request, this.metadata, (error, response) =>
        error === null ? resolve(response) : reject(error),
      ),
    );
  }

  notify(notification: Partial<StatusNotificationMessage>): Promise<{ status: string; message: string }> {
    return new Promise((resolve, reject) =>
      this.handlers.NotifyWorkerStatus(notification, this.metadata, (error, response) =>
        error === null ? resolve(response) : reject(error),
      ),
    );
  }

  forward(options: object = {}): TestStream {
    return new TestStream(this.handlers.ForwardWorkerLogs(this.metadata, options));
  }

  stream(): TestStream {
    return new TestStream(this.streams.StreamLogs(this.metadata));
  }
}

/** One stream, and what came back. */
export class TestStream {
  readonly call: ClientDuplexStream<object, AnswerMessage>;
  readonly answers: AnswerMessage[] = [];
  /** Resolves with the status at the end. */
  readonly ended: Promise<{ code: number; details: string }>;

  constructor(call: ClientDuplexStream<object, AnswerMessage>) {
    this.call = call;
    call.on('data', (answer: AnswerMessage) => this.answers.push(answer));
    call.on('error', () => undefined);
    this.ended = new Promise((resolve) => call.on('status', resolve));
  }

  send(...entries: Partial<LogEntryMessage>[]): void {
    for (const entry of entries) this.call.write(entry);
  }

  /** Resolves when so many answers have come, with all of them. */
  async answered(count: number): Promise<AnswerMessage[]> {
    while (this.answers.length < count) {
      const more = once(this.call, 'data');
      await Promise.race([
        more,
        this.ended.then((status) => Promise.reject(new Error(`ended: ${JSON.stringify(status)}`))),
      ]);
    }
    return this.answers;
  }
}

export interface Registered {
  status: string;
  message: string;
  session_id: string;
  config: Record<string, unknown> | null;
}

interface LogStreamingClient extends Client {
  RegisterWorker(request: object, metadata: Metadata, done: Done<Registered>): void;
  StreamLogs(metadata: Metadata): ClientDuplexStream<object, AnswerMessage>;
}

interface HandlerClient extends Client {
  NotifyWorkerStatus(request: object, metadata: Metadata, done: Done<{ status: string; message: string }>): void;
  ForwardWorkerLogs(metadata: Metadata, options: object): ClientDuplexStream<object, AnswerMessage>;
}

type Done<T> = (error: ServiceError | null, response: T) => void;

type Constructors = Record<
  'LogStreamingService' | 'OttoHandlerLogService',
  new (address: string, channel: ChannelCredentials, options: object) => Client
>;

function constructors(): Constructors {
  const definition = loadSync(PROTO_FILE, { keepCase: true, longs: Number, enums: String, defaults: true });
  const { ottoscaler } = loadPackageDefinition(definition) as unknown as { ottoscaler: { v1: Constructors } };
  return ottoscaler.v1;
}

/** An entry of a worker, whose message is all that matters. */
export function entry(message: string, more: Partial<LogEntryMessage> = {}): Partial<LogEntryMessage> {
  return { worker_id: 'w', task_id: 't', message, ...more };
}
