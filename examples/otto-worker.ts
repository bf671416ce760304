import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/**
 * A worker of Otto's that loses nothing: sends the lines of its stdin over gRPC, keeps each until it is acknowledged,
 * and sends it again where the relay says RETRY or was gone. A line may come twice only if the relay was cut off between
 * storing and acknowledging it.
 *
 *     some-program | node examples/otto-worker.ts localhost:50051 WORKER TASK
 *
 * OTTO_TOKEN is its token, if the relay wants one.
 */
const PROTO = fileURLToPath(new URL('../relay/api/otto/grpc/ottoscaler.proto', import.meta.url));
/** Beyond so many lines that are not stored, stdin is not read. */
const MAX_PENDING = 1000;
const MAX_PAUSE_MS = 5000;
const RETRY_MS = 1000;

const [address, worker_id, task_id = ''] = process.argv.slice(2);
if (task_id === '') {
  console.error('usage: otto-worker.ts HOST:PORT WORKER TASK < lines');
  process.exit(2);
}

const metadata = new Metadata();
if (process.env.OTTO_TOKEN !== undefined) metadata.set('authorization', `Bearer ${process.env.OTTO_TOKEN}`);
const { LogStreamingService, OttoHandlerLogService } = services();
const streams = new LogStreamingService(address, credentials.createInsecure()) as LogStreaming;
const handlers = new OttoHandlerLogService(address, credentials.createInsecure()) as HandlerLogs;

/** In the order in which they were sent, the oldest first: answers come in the same order. */
const unacknowledged: Entry[] = [];
let stream: ClientDuplexStream<Entry, Answer> | undefined;
/** Lines that were read and are not stored. */
let pending = 0;
let ended = false;
let wake = (): void => undefined;

const sending = keepStreaming();
for await (const message of createInterface({ input: process.stdin })) {
  // The relay takes no empty messages.
  if (message === '') continue;
  while (pending >= MAX_PENDING) await changed();
  pending++;
  send({ worker_id, task_id, timestamp: new Date().toISOString(), level: 'INFO', source: 'stdout', message });
}
while (pending > 0) await changed();
ended = true;
stream?.end();
await sending;
await call((done) => handlers.NotifyWorkerStatus({ worker_id, task_id, status: 'COMPLETED' }, metadata, done));
streams.close();
handlers.close();

function send(entry: Entry): void {
  unacknowledged.push(entry);
  stream?.write(entry);
}

/** Opens a stream, again and again, and sends over each what is not acknowledged yet. */
async function keepStreaming(): Promise<void> {
  for (let attempt = 0; !ended; attempt++) {
    if (attempt > 0) await delay(Math.random() * Math.min(MAX_PAUSE_MS, 100 * 2 ** attempt));
    try {
      await call((done) => streams.RegisterWorker({ worker_id, task_id }, metadata, done));
      await streamOnce(() => (attempt = 0));
    } catch (error) {
      console.error(`${(error as Error).message}; trying again`);
    }
  }
}

/** Resolves when the stream is over; rejects if it broke. */
async function streamOnce(onAnswer: () => void): Promise<void> {
  const open = streams.StreamLogs(metadata);
  await new Promise<void>((resolve, reject) => {
    open.on('data', (answer: Answer) => {
      onAnswer();
      take(answer);
    });
    open.on('error', reject);
    open.on('end', resolve);
    for (const entry of unacknowledged) open.write(entry);
    stream = open;
  }).finally(() => (stream = undefined));
}

function take({ status, message }: Answer): void {
  const entry = unacknowledged.shift();
  if (entry === undefined) return;
  if (status === 'RETRY') {
    setTimeout(() => send(entry), RETRY_MS);
    return;
  }
  if (status === 'DROP') console.error(`not stored: ${message}`);
  pending--;
  wake();
}

function changed(): Promise<void> {
  return new Promise((resolve) => (wake = resolve));
}

function call<T>(start: (done: (error: Error | null, answer: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, answer) => (error === null ? resolve(answer) : reject(error))));
}

interface Entry {
  worker_id: string;
  task_id: string;
  timestamp: string;
  level: string;
  source: string;
  message: string;
}

interface Answer {
  status: 'ACK' | 'RETRY' | 'DROP';
  message: string;
  sequence: number;
}

type Unary = (request: object, metadata: Metadata, done: (error: Error | null, answer: object) => void) => void;
type LogStreaming = Client & {
  RegisterWorker: Unary;
  StreamLogs(metadata: Metadata): ClientDuplexStream<Entry, Answer>;
};
type HandlerLogs = Client & { NotifyWorkerStatus: Unary };
type Constructors = Record<
  'LogStreamingService' | 'OttoHandlerLogService',
  new (address: string, channel: ChannelCredentials) => Client
>;

function services(): Constructors {
  const definition = loadSync(PROTO, { keepCase: true, longs: Number, enums: String, defaults: true });
  const { ottoscaler } = loadPackageDefinition(definition) as unknown as { ottoscaler: { v1: Constructors } };
  return ottoscaler.v1;
}
