import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { WebSocket } from 'ws';
import { encodeLines } from '../shared/columns.ts';
import { kindOf } from '../shared/line.ts';
import { newUlid, writeUlid } from '../shared/ulid.ts';
import { parseRelayMessage } from '../shared/relay-message.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';

/** The senders' process of ingest.bench.ts: many agents that send chunks encoded before, and time the acks. */
export interface SendersTask {
  url: string;
  agents: number;
  linesPerChunk: number;
  /** Measured; one more goes before, in which both processes get warm. It ends with the message 'warm'. */
  seconds: number;
  /** A chunk a second and agent; without it, as many as the window takes. */
  chunksPerSecond?: number;
}

export interface SendersResult {
  sent: number;
  acknowledged: number;
  /** Acknowledged after the warm-up, and from its end to the last ack. */
  measured: number;
  seconds: number;
  ackP50Ms: number;
  ackP99Ms: number;
}

class Sender {
  readonly socket: WebSocket;
  readonly latencies: number[] = [];
  sent = 0;
  acknowledged = 0;
  readonly #chunk: Buffer;
  readonly #lines: number;
  readonly #sentAt: number[] = [];
  #window = 0;

  constructor(task: SendersTask, template: Buffer, i: number) {
    this.#lines = task.linesPerChunk;
    this.#chunk = Buffer.from(template);
    const run = newUlid(Date.now());
    writeUlid(run, this.#chunk, 8);
    this.socket = new WebSocket(`${task.url}/ws/tasks/bench-${i}`, SUBPROTOCOL, { perMessageDeflate: false });
    this.socket.once('open', () => {
      const hello = {
        type: 'hello',
        run,
        ackedSeq: 0,
        workerId: 'bench',
        labels: {},
        agentVersion: '0',
        startedAt: Date.now(),
      };
      this.socket.send(JSON.stringify(hello));
    });
  }

  async ready(): Promise<void> {
    const [data] = (await once(this.socket, 'message')) as [Buffer];
    const message = parseRelayMessage(data.toString());
    if (message.type !== 'ready') throw new Error(`ready was expected, not ${message.type}`);
    this.#window = message.windowBytes;
  }

  /** Whether the window takes another chunk. */
  get open(): boolean {
    return (this.sent - this.acknowledged) * this.#chunk.length < this.#window;
  }

  send(): void {
    const chunk = Buffer.from(this.#chunk);
    chunk.writeUIntLE(this.sent * this.#lines, 24, 6);
    chunk.writeUInt32LE(crc32(chunk.subarray(8)), 4);
    this.sent++;
    this.#sentAt.push(performance.now());
    this.socket.send(chunk);
  }

  onAck(then: () => void): void {
    this.socket.on('message', (data: Buffer) => {
      const message = parseRelayMessage(data.toString());
      if (message.type !== 'ack') throw new Error(`ack was expected, not ${data.toString()}`);
      const now = performance.now();
      const acknowledged = message.nextSeq / this.#lines;
      for (; this.acknowledged < acknowledged; this.acknowledged++)
        this.latencies.push(now - this.#sentAt[this.acknowledged]);
      then();
    });
  }
}

async function run(task: SendersTask): Promise<void> {
  const template = templateOf(task.linesPerChunk);
  const senders = Array.from({ length: task.agents }, (_, i) => new Sender(task, template, i));
  await Promise.all(senders.map((sender) => sender.ready()));
  process.send?.('ready');
  await once(process, 'message');

  const start = performance.now();
  const warm = start + WARM_UP_MS;
  const end = warm + task.seconds * 1000;
  let lastAck = start;
  let done: () => void = () => undefined;
  const allAcknowledged = new Promise<void>((resolve) => (done = resolve));
  const finished = (): boolean =>
    performance.now() >= end && senders.every(({ sent, acknowledged }) => sent === acknowledged);
  for (const sender of senders) {
    sender.onAck(() => {
      lastAck = performance.now();
      if (task.chunksPerSecond === undefined) fill(sender, end);
      if (finished()) done();
    });
  }
  const pace = task.chunksPerSecond;
  if (pace === undefined) for (const sender of senders) fill(sender, end);
  else paced(senders, { pace, start, end });
  const acknowledged = (): number => senders.reduce((sum, sender) => sum + sender.acknowledged, 0);
  let before = 0;
  setTimeout(() => {
    before = acknowledged();
    for (const sender of senders) sender.latencies.length = 0;
    process.send?.('warm');
  }, WARM_UP_MS);
  await Promise.race([allAcknowledged, sleep(WARM_UP_MS + task.seconds * 1000 + PATIENCE_MS)]);

  const latencies = senders.flatMap((sender) => sender.latencies).sort((a, b) => a - b);
  const result: SendersResult = {
    sent: senders.reduce((sum, { sent }) => sum + sent, 0),
    acknowledged: acknowledged(),
    measured: acknowledged() - before,
    seconds: (lastAck - warm) / 1000,
    ackP50Ms: latencies[Math.floor(latencies.length * 0.5)],
    ackP99Ms: latencies[Math.floor(latencies.length * 0.99)],
  };
  process.send?.(result);
}

function fill(sender: Sender, end: number): void {
  while (sender.open && performance.now() < end) sender.send();
}

/** Sends each agent's chunks at its own regular moments, spread over the interval. */
function paced(senders: Sender[], { pace, start, end }: { pace: number; start: number; end: number }): void {
  let sent = 0;
  const timer = setInterval(() => {
    const now = Math.min(performance.now(), end);
    const due = Math.floor(((now - start) / 1000) * pace * senders.length);
    for (; sent < due; sent++) senders[sent % senders.length].send();
    if (now === end) clearInterval(timer);
  }, 1);
}

/** Lines of 115 bytes that compress like a job's log. */
function templateOf(lines: number): Buffer {
  const levels = ['INFO', 'DEBUG', 'WARN'];
  const text = (i: number): Buffer =>
    Buffer.from(
      `2026-01-02T03:04:${String(i % 60).padStart(2, '0')}.${String(i % 1000).padStart(3, '0')}Z ${levels[i % 3]} worker-${i % 7} ` +
        `compiled module src/pages/${(i * 7919) % 100_000}/index.tsx in ${(i * 31) % 997} ms`.padEnd(80, '.'),
    );
  const kind = kindOf('stdout', 'INFO');
  return encodeLines(
    newUlid(0),
    0,
    Array.from({ length: lines }, (_, i) => ({ time: 1_700_000_000_000 + i, kind, text: text(i) })),
  );
}

const WARM_UP_MS = 1000;
/** What is not acknowledged so long after the last chunk is counted as not acknowledged. */
const PATIENCE_MS = 30_000;

process.once('message', (task: SendersTask) => void run(task));
