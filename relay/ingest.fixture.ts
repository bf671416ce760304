import { once } from 'node:events';
import { WebSocket } from 'ws';
import { clipChunk, encodeLines } from '../shared/columns.ts';
import { readHeader } from '../shared/chunk.ts';
import { advanceDigest, EMPTY_DIGEST } from '../shared/digest.ts';
import { kindOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { parseRelayMessage, type RelayMessage } from '../shared/relay-message.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import type {
  Append,
  AppendOutcome,
  EndOutcome,
  EndRun,
  OpenedRun,
  OpenRun,
  Store,
  TaskRecord,
} from './store/store.ts';

/** What ingest asks of a store, in memory, with a hand on every answer. For tests of ingest alone. */
export class FakeStore implements Pick<Store, 'open' | 'append' | 'end' | 'seen' | 'task'> {
  readonly runs = new Map<string, FakeRun>();
  readonly seens: Parameters<Store['seen']>[0][] = [];
  /** What every append waits for before it is decided, or fails of. */
  beforeAppend: () => Promise<void> = () => Promise.resolve();
  beforeOpen: () => Promise<void> = () => Promise.resolve();
  #order = Promise.resolve();

  async open(run: OpenRun): Promise<OpenedRun> {
    await this.beforeOpen();
    const known = this.runs.get(run.run) ?? { nextSeq: 0, digest: EMPTY_DIGEST, fence: 0, ended: false, chunks: [] };
    known.fence++;
    this.runs.set(run.run, known);
    return { epoch: 'e1', fence: known.fence, nextSeq: known.nextSeq, digest: known.digest, ended: known.ended };
  }

  append(append: Append): Promise<AppendOutcome> {
    const gate = this.beforeAppend();
    return this.#inOrder(gate, () => this.#append(append));
  }

  end(end: EndRun): Promise<EndOutcome> {
    return this.#inOrder(Promise.resolve(), () => {
      const run = this.runs.get(end.run);
      if (run?.fence !== end.fence) return { outcome: 'fenced' };
      if (end.nextSeq > run.nextSeq) return { outcome: 'missing', nextSeq: run.nextSeq };
      run.ended = true;
      return end.digest === run.digest
        ? { outcome: 'verified', nextSeq: run.nextSeq }
        : { outcome: 'unverified', nextSeq: run.nextSeq, digest: run.digest };
    });
  }

  /** By task. */
  readonly labels = new Map<string, Record<string, string>>();

  task(task: string): Promise<TaskRecord | undefined> {
    const labels = this.labels.get(task);
    return Promise.resolve(labels && ({ task, labels } as TaskRecord));
  }

  seen(seen: Parameters<Store['seen']>[0]): Promise<void> {
    this.seens.push(seen);
    return Promise.resolve();
  }

  #inOrder<T>(gate: Promise<void>, decide: () => T): Promise<T> {
    const result = this.#order.then(() => gate).then(decide);
    this.#order = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  #append({ run: id, fence, bytes }: Append): AppendOutcome {
    const run = this.runs.get(id);
    if (run?.fence !== fence) return { outcome: 'fenced' };
    let header = readHeader(bytes);
    if (header.firstSeq + header.count <= run.nextSeq) return { outcome: 'duplicate', nextSeq: run.nextSeq };
    if (header.firstSeq > run.nextSeq) return { outcome: 'expected', nextSeq: run.nextSeq };
    if (run.ended) return { outcome: 'ended', nextSeq: run.nextSeq };
    const clipped = header.firstSeq < run.nextSeq ? clipChunk(bytes, run.nextSeq) : undefined;
    if (clipped !== undefined) header = readHeader(clipped);
    const place = { firstLine: run.nextSeq + 1, position: run.nextSeq, count: header.count };
    run.digest = advanceDigest(run.digest, header);
    run.nextSeq += header.count;
    run.chunks.push(clipped ?? bytes);
    return { outcome: 'stored', nextSeq: run.nextSeq, ...place, ...(clipped && { clipped }) };
  }
}

export interface FakeRun {
  nextSeq: number;
  digest: string;
  fence: number;
  ended: boolean;
  chunks: Buffer[];
}

/** An agent made of a socket and a list of what it heard. */
export class FakeAgent {
  readonly socket: WebSocket;
  readonly run: string;
  readonly heard: RelayMessage[] = [];
  closed: { code: number; reason: string } | undefined;
  #changed: () => void = () => undefined;

  private constructor(socket: WebSocket, run: string) {
    this.socket = socket;
    this.run = run;
    socket.on('message', (data: Buffer) => {
      this.heard.push(parseRelayMessage(data.toString()));
      this.#changed();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#changed();
    });
    socket.on('error', () => undefined);
  }

  /** Connects to `ws://host:port`; says nothing yet. */
  static async connect(url: string, { task = 't1', run = newUlid(Date.now()), headers = {} } = {}): Promise<FakeAgent> {
    const socket = new WebSocket(`${url}/ws/tasks/${encodeURIComponent(task)}`, SUBPROTOCOL, {
      headers,
      perMessageDeflate: false,
    });
    const agent = new FakeAgent(socket, run);
    await once(socket, 'open');
    return agent;
  }

  static async ready(url: string, options: Parameters<typeof FakeAgent.connect>[1] = {}): Promise<FakeAgent> {
    const agent = await FakeAgent.connect(url, options);
    agent.hello();
    await agent.hears('ready');
    return agent;
  }

  hello(more: object = {}): void {
    const hello = {
      type: 'hello',
      run: this.run,
      ackedSeq: 0,
      workerId: 'w',
      labels: {},
      agentVersion: '0',
      startedAt: 1,
    };
    this.say({ ...hello, ...more });
  }

  end(more: object = {}): void {
    this.say({
      type: 'end',
      exitCode: 0,
      signal: null,
      reason: 'exited',
      nextSeq: 0,
      lines: 0,
      bytes: 0,
      digest: EMPTY_DIGEST,
      endedAt: 2,
      ...more,
    });
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  chunk(firstSeq: number, lines: number): void {
    this.socket.send(chunkOf(this.run, firstSeq, lines));
  }

  /** Resolves to the first message of the type that was not taken yet. */
  async hears<T extends RelayMessage['type']>(type: T): Promise<Extract<RelayMessage, { type: T }>> {
    for (;;) {
      const at = this.heard.findIndex((message) => message.type === type);
      if (at !== -1) return this.heard.splice(at, 1)[0] as Extract<RelayMessage, { type: T }>;
      if (this.closed !== undefined)
        throw new Error(`closed with ${this.closed.code} ${this.closed.reason} before ${type}`);
      await this.#change();
    }
  }

  /** Resolves when everything below `nextSeq` is acknowledged. */
  async acked(nextSeq: number): Promise<void> {
    let ack = await this.hears('ack');
    while (ack.nextSeq < nextSeq) ack = await this.hears('ack');
  }

  async closes(): Promise<{ code: number; reason: string }> {
    while (this.closed === undefined) await this.#change();
    return this.closed;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}

/** `lines` lines of a run, from `firstSeq` on, each telling its number. */
export function chunkOf(run: string, firstSeq: number, lines: number): Buffer {
  const kind = kindOf('stdout', 'INFO');
  const text = (i: number): Buffer => Buffer.from(`line ${firstSeq + i}`);
  return encodeLines(
    run,
    firstSeq,
    Array.from({ length: lines }, (_, i) => ({ time: 1000 + i, kind, text: text(i) })),
  );
}

/** The digest of chunks and gaps in order. */
export function digestOf(chunks: readonly Buffer[]): string {
  return chunks.reduce((digest, chunk) => advanceDigest(digest, readHeader(chunk)), EMPTY_DIGEST);
}
