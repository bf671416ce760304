import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EventSource } from 'eventsource';
import { until } from '../../reading.fixture.ts';
import { relayConfig } from '../../relay-config.fixture.ts';
import { startRelay, type Relay } from '../../relay.ts';
import { openRelay, SocketClient, SseClient, TestWriter, type LogMessage } from './stratal.fixture.ts';

/**
 * Stratal's published streamer over WebSocket, with its ways: it passes an http:// URL to `new WebSocket`, takes every
 * frame for a log, comes back after 1, 2, 4, 8 and 16 (here: fifths of a) second and then gives up, and once more
 * after it was told to disconnect.
 */
class PublishedSocket {
  readonly logs: LogMessage[] = [];
  connects = 0;
  gaveUp = false;
  readonly #url: string;
  #webSocket: WebSocket | undefined;
  #attempts = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(t: TestContext, url: string) {
    this.#url = url;
    t.after(() => {
      this.gaveUp = true;
      clearTimeout(this.#timer);
      this.#webSocket?.close();
    });
  }

  connect(): void {
    const webSocket = new WebSocket(this.#url);
    this.#webSocket = webSocket;
    webSocket.onopen = () => {
      this.connects++;
      this.#attempts = 0;
    };
    webSocket.onmessage = ({ data }) => this.logs.push(JSON.parse(String(data)) as LogMessage);
    webSocket.onclose = () => {
      if (this.#attempts >= 5) this.gaveUp = true;
      if (this.gaveUp) return;
      this.#timer = setTimeout(() => this.connect(), SECOND_MS * 2 ** this.#attempts++);
    };
  }

  disconnect(): void {
    this.#attempts = 0;
    this.#webSocket?.close();
  }
}

/** The one over events: after an error it opens another `EventSource`, and leaves the old one, which comes back, too. */
class PublishedEvents {
  readonly sources: EventSource[] = [];
  readonly logs: LogMessage[] = [];
  /** Those that are still to be opened after an error. */
  #coming = 0;
  readonly #url: string;

  constructor(t: TestContext, url: string) {
    this.#url = url;
    t.after(() => this.sources.forEach((source) => source.close()));
    this.#connect();
  }

  #connect(): void {
    const source = new EventSource(this.#url);
    let failed = false;
    this.sources.push(source);
    source.addEventListener('log', ({ data }) => this.logs.push(JSON.parse(String(data)) as LogMessage));
    source.addEventListener('error', () => {
      // Here once for each source: the test waits for as many as there are.
      if (failed) return;
      failed = true;
      this.#coming++;
      setTimeout(() => {
        this.#coming--;
        this.#connect();
      }, SECOND_MS);
    });
  }

  get open(): number {
    return this.sources.filter(({ readyState }) => readyState === EventSource.OPEN).length;
  }

  /** Whether each of them is open, or has given up: as it does when a relay that is about to stop answers 503. */
  get settled(): boolean {
    return this.#coming === 0 && this.sources.every(({ readyState }) => readyState !== EventSource.CONNECTING);
  }
}

/** So long that a relay which is slow to start is there before a client gives up. */
const SECOND_MS = 200;

/** A relay that can be stopped and started again at the same address. */
async function openLasting(t: TestContext): Promise<{ start: (port?: number) => Promise<Relay> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'keruta-stratal-'));
  let relay: Relay | undefined;
  t.after(async () => {
    await relay?.stop();
    await rm(dataDir, { recursive: true });
  });
  return { start: async (port = 0) => (relay = await startRelay(relayConfig({ dataDir, port }))) };
}

async function statusOf(relay: Relay): Promise<{ global: { websocket: number; sse: number } }> {
  const answer = await fetch(`${relay.url}/api/v1/logs/stream/status`);
  return ((await answer.json()) as { connections: { global: { websocket: number; sse: number } } }).connections;
}

test('the published viewer: a page of history, then the stream, and its message handler takes every frame', async (t) => {
  const { relay, api } = await openRelay(t);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write(...Array.from({ length: 120 }, (_, i) => `old ${i}`));
  const page = (await (await fetch(`${api}/logs/job-runs/t?limit=100&offset=0`)).json()) as { logs: LogMessage[] };
  assert.deepEqual([page.logs.length, page.logs[0].message, page.logs[99].message], [100, 'old 0', 'old 99']);
  const client = new PublishedSocket(t, `${api}/logs/stream/ws?job_run_id=t`);
  client.connect();
  await until(() => client.logs.length === 1);
  await writer.write('new');
  await until(() => client.logs.length === 2);
  for (const log of client.logs) {
    // What its filters by level, stream, type and text look at.
    for (const word of [log.type, log.level, log.stream, log.message, log.job_run_id])
      assert.equal(typeof word, 'string');
    assert.equal(new Date(log.timestamp).toISOString(), log.timestamp);
  }
  writer.close();
});

test('the published WebSocket comes back after each restart, and gives up only on a relay that stays away', async (t) => {
  const { start } = await openLasting(t);
  let relay = await start();
  const port = Number(new URL(relay.url).port);
  const client = new PublishedSocket(t, `${relay.url}/api/v1/logs/stream/ws`);
  client.connect();
  for (let restarts = 1; restarts <= 3; restarts++) {
    await until(() => client.connects === restarts);
    await relay.stop();
    relay = await start(port);
  }
  await until(() => client.connects === 4);
  await relay.stop();
  await until(() => client.gaveUp);
});

test('after disconnect the published WebSocket is there once more, and once only', async (t) => {
  const { relay, api } = await openRelay(t);
  const client = new PublishedSocket(t, `${api}/logs/stream/ws`);
  client.connect();
  await until(() => client.connects === 1);
  client.disconnect();
  await until(() => client.connects === 2);
  let status = await statusOf(relay);
  while (status.global.websocket !== 1) status = await statusOf(relay);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('one');
  await until(() => client.logs.at(-1)?.message === 'one');
  assert.equal(client.logs.filter(({ message }) => message === 'one').length, 1);
  writer.close();
});

test('the published event streamer leaks a connection at each outage: all of them are served, counted and let go', async (t) => {
  const { start } = await openLasting(t);
  let relay = await start();
  const port = Number(new URL(relay.url).port);
  const client = new PublishedEvents(t, `${relay.url}/api/v1/logs/stream/sse`);
  await until(() => client.open === 1);
  await relay.stop();
  relay = await start(port);
  // Those that it opened while nobody listened failed, too, and each of them has opened another.
  await until(() => client.sources.length >= 2 && client.settled);
  const length = client.open;
  assert.equal((await statusOf(relay)).global.sse, length);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('after');
  await until(() => client.logs.length >= length);
  assert.deepEqual(new Set(client.logs.map(({ message }) => message)), new Set(['after']));
  assert.equal(client.logs.length, length);
  client.sources.forEach((source) => source.close());
  while ((await statusOf(relay)).global.sse > 0) continue;
  writer.close();
});

test('a client that subscribes twice gets everything twice, and leaving once ends one of them', async (t) => {
  const { relay, api } = await openRelay(t);
  const url = `${api}/logs/stream/sse?job_run_id=t`;
  const [one, two] = [new SseClient(t, url), new SseClient(t, url)];
  await Promise.all([one.saw('connected'), two.saw('connected')]);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('both');
  await Promise.all([one.saw('log'), two.saw('log')]);
  one.source.close();
  await writer.write('one');
  await two.saw('log', 2);
  assert.deepEqual([one.texts, two.texts], [['both'], ['both', 'one']]);
  writer.close();
});

test('clients that come and go in a loop leave nothing behind: no connection, no follower, no descriptor', async (t) => {
  // More of them at once would be refused.
  const { relay, api } = await openRelay(t, { maxConnections: 8 });
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const round = async (): Promise<void> => {
    const sockets = [1, 2].map(() => new SocketClient(t, `${api}/logs/stream/ws?job_run_id=t`));
    const sources = [1, 2].map(() => new SseClient(t, `${api}/logs/stream/sse`));
    await Promise.all([...sockets.map((one) => one.saw(1)), ...sources.map((one) => one.saw('connected'))]);
    sockets[0].socket.terminate();
    sockets[1].socket.close();
    sources.forEach(({ source }) => source.close());
    for (const { frames } of sockets) assert.equal(frames.length, 1);
  };
  const settled = async (): Promise<void> => {
    for (let readers = -1; readers !== 0;) {
      const metrics = await (await fetch(`${relay.url}/metrics`)).text();
      readers = Number(/^keruta_readers (\d+)$/m.exec(metrics)?.[1]);
    }
    while (JSON.stringify(await statusOf(relay)) !== NOBODY) continue;
  };
  await round();
  await settled();
  const before = descriptors();
  for (let i = 0; i < 25; i++) {
    await round();
    await settled();
  }
  // The connections that this process asks with are kept open for the next question.
  assert.ok(descriptors() - before < 20, `${descriptors() - before} more descriptors`);
});

const NOBODY = JSON.stringify({ global: { websocket: 0, sse: 0 }, jobs: {} });
