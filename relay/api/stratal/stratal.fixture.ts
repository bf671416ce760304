import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { encodeGap } from '../../../shared/chunk.ts';
import { encodeLines } from '../../../shared/columns.ts';
import { kindOf } from '../../../shared/line.ts';
import type { RelayConfig } from '../../../shared/options/relay-options.ts';
import { FakeAgent } from '../../ingest.fixture.ts';
import { T0, until, type TestLine } from '../../reading.fixture.ts';
import { relayConfig } from '../../relay-config.fixture.ts';
import { startRelay, type Relay } from '../../relay.ts';

/** A whole relay over a store in a temporary folder, gone after the test. */
export async function openRelay(t: Cleaning, config: Partial<RelayConfig> = {}): Promise<TestRelay> {
  const dataDir = await mkdtemp(join(tmpdir(), 'keruta-stratal-'));
  const relay = await startRelay(relayConfig({ dataDir, ...config }));
  t.after(async () => {
    await relay.stop();
    await rm(dataDir, { recursive: true });
  });
  return { dataDir, relay, api: `${relay.url}/api/v1`, stop: () => relay.stop() };
}

/** A test, or what else can clean up behind itself. */
export interface Cleaning {
  after: (clean: () => Promise<void>) => void;
}

export interface TestRelay {
  dataDir: string;
  relay: Relay;
  /** The base of Stratal's paths. */
  api: string;
  stop: () => Promise<void>;
}

/** An agent that writes lines, each call one chunk. */
export class TestWriter {
  readonly #agent: FakeAgent;
  #seq = 0;

  private constructor(agent: FakeAgent) {
    this.#agent = agent;
  }

  static async open(url: string, task: string, hello: Hello = {}): Promise<TestWriter> {
    const { token, ...more } = hello;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const agent = await FakeAgent.connect(url.replace('http', 'ws'), { task, headers });
    agent.hello(more);
    await agent.hears('ready');
    return new TestWriter(agent);
  }

  /** Resolves when they are stored. */
  async write(...lines: TestLine[]): Promise<void> {
    const inputs = lines.map((line) => {
      const given = typeof line === 'string' ? { text: line } : line;
      const kind = kindOf(given.source ?? 'stdout', given.level ?? 'INFO') | (given.flags ?? 0);
      const base = { time: given.time ?? T0, kind, text: Buffer.from(given.text) };
      return given.metadata === undefined ? base : { ...base, metadata: given.metadata };
    });
    await this.#send(encodeLines(this.#agent.run, this.#seq, inputs), lines.length);
  }

  /** Says that lines were dropped. */
  async gap(count: number): Promise<void> {
    await this.#send(
      encodeGap({ run: this.#agent.run, firstSeq: this.#seq, count, reason: 'dropped', time: T0 }),
      count,
    );
  }

  close(): void {
    this.#agent.socket.close();
  }

  async #send(chunk: Buffer, count: number): Promise<void> {
    this.#agent.socket.send(chunk);
    this.#seq += count;
    await this.#agent.acked(this.#seq);
  }
}

interface Hello {
  pipelineId?: string;
  taskName?: string;
  labels?: Record<string, string>;
  token?: string;
}

/** What a stream's messages are. */
export interface LogMessage {
  type: string;
  job_run_id: string;
  task_run_id?: string;
  timestamp: string;
  level: string;
  stream: string;
  message: string;
  task_name?: string;
  metadata?: Record<string, unknown>;
  cursor?: string;
}

/** A WebSocket's frames, the confirmation first. */
export class SocketClient {
  readonly frames: string[] = [];
  readonly socket: WebSocket;
  closed: number | undefined;

  constructor(t: TestContext, url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    this.socket.on('message', (data, isBinary) => {
      this.frames.push(isBinary ? 'binary' : (data as Buffer).toString());
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', (code) => (this.closed = code));
    t.after(() => this.socket.terminate());
  }

  get messages(): LogMessage[] {
    return this.frames.map((frame) => JSON.parse(frame) as LogMessage);
  }

  /** Resolves with the first `count` frames. */
  async saw(count: number): Promise<LogMessage[]> {
    await until(() => this.frames.length >= count || this.closed !== undefined);
    return this.messages;
  }
}

/** A stream's events in the hands of an independent client. */
export class SseClient {
  readonly events: { type: string; data: string; id: string }[] = [];
  readonly source: EventSource;
  errors: number[] = [];

  constructor(t: TestContext, url: string, headers: Record<string, string> = {}) {
    this.source = new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
    });
    for (const type of ['connected', 'log', 'ping']) {
      this.source.addEventListener(type, ({ data, lastEventId }) => {
        this.events.push({ type, data: String(data), id: lastEventId });
      });
    }
    this.source.addEventListener('error', (event) => this.errors.push((event as { code?: number }).code ?? 0));
    t.after(() => this.source.close());
  }

  /** What the logs say. */
  get texts(): string[] {
    return this.logs.map(({ message }) => message);
  }

  get logs(): LogMessage[] {
    return this.events.filter(({ type }) => type === 'log').map(({ data }) => JSON.parse(data) as LogMessage);
  }

  async saw(type: string, count = 1): Promise<void> {
    await until(() => this.events.filter((event) => event.type === type).length >= count);
  }
}
