import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
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
const KERUTA = dirname(createRequire(import.meta.url).resolve('keruta/package.json'));
/** Beyond so many lines that are not stored, stdin is not read. */
const MAX_PENDING = 1000;
const MAX_PAUSE_MS = 5000;
const MAX_NOTIFICATIONS = 30;
const RETRY_MS = 1000;
/** A relay that has not answered a ping is gone, and its connection with it. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 20_000 };

const [address, worker_id, task_id = ''] = process.argv.slice(2);
if (task_id === '') {
  console.error('usage: otto-worker.ts HOST:PORT WORKER TASK < lines');
  process.exit(2);
}

const metadata = new Metadata();
if (process.env.OTTO_TOKEN !== undefined) metadata.set('authorization', `Bearer ${process.env.OTTO_TOKEN}`);
const { LogStreamingService, OttoHandlerLogService } = services();
const streams = new LogStreamingService(address, credentials.createInsecure(), KEEPALIVE) as LogStreaming;
const handlers = new OttoHandlerLogService(address, credentials.createInsecure(), KEEPALIVE) as HandlerLogs;

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
await notifyCompleted();
streams.close();
handlers.close();

async function notifyCompleted(): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await call((done) => handlers.NotifyWorkerStatus({ worker_id, task_id, status: 'COMPLETED' }, metadata, done));
      return;
    } catch (error) {
      // Without it the run ends well, too: its stream was closed in order.
      console.error(`${(error as Error).message}; ${attempt < MAX_NOTIFICATIONS ? 'trying again' : 'giving up'}`);
      if (attempt === MAX_NOTIFICATIONS) return;
      await delay(RETRY_MS);
    }
  }
}

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
  new (address: string, channel: ChannelCredentials, options: object) => Client
>;

function services(): Constructors {
  // Only the sources have it there.
  const source = join(KERUTA, 'relay/api/otto/grpc/ottoscaler.proto');
  const proto = existsSync(source) ? source : join(KERUTA, 'dist/ottoscaler.proto');
  const definition = loadSync(proto, { keepCase: true, longs: Number, enums: String, defaults: true });
  const { ottoscaler } = loadPackageDefinition(definition) as unknown as { ottoscaler: { v1: Constructors } };
  return ottoscaler.v1;
}
