import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { TestRun } from '../../../reading.fixture.ts';
import { NAMESPACE } from './connection.ts';
import { serveSocketIo, type Served } from './socket-io.fixture.ts';

/** What python-engineio takes of one poll (`max_decode_packets`): of more it takes nothing. */
const TAKEN_AT_ONCE = 16;

/** A client that polls, one request after the other, and has joined. */
class Polling {
  /** Packets of each poll. */
  readonly polls: string[][] = [];
  #address: string;

  constructor({ url }: Served) {
    this.#address = `${url}/socket.io/?EIO=4&transport=polling`;
  }

  async join(): Promise<void> {
    const [open] = await this.poll();
    const { sid } = JSON.parse(open.slice(1)) as { sid: string };
    this.#address += `&sid=${sid}`;
    await this.send(`40${NAMESPACE},`);
  }

  async send(packet: string): Promise<void> {
    const response = await fetch(this.#address, { method: 'POST', body: packet });
    assert.equal(await response.text(), 'ok');
  }

  emit(event: string, body: object): Promise<void> {
    return this.send(`42${NAMESPACE},${JSON.stringify([event, body])}`);
  }

  async poll(): Promise<string[]> {
    const response = await fetch(this.#address);
    const body = await response.text();
    assert.equal(response.status, 200, body);
    const packets = body.split('\x1e');
    this.polls.push(packets);
    if (packets.includes('2')) await this.send('3');
    return packets;
  }

  /** Polls until something has come. */
  async until(event: string): Promise<void> {
    while (this.#named(event).length === 0) await this.poll();
  }

  messages(): string[] {
    return this.#named('log-entry').map(({ message }) => message);
  }

  #named(event: string): { message: string }[] {
    const start = `42${NAMESPACE},["${event}",`;
    const found = this.polls.flat().filter((packet) => packet.startsWith(start));
    return found.map((packet) => (JSON.parse(packet.slice(packet.indexOf('['))) as [string, { message: string }])[1]);
  }
}

test('a poll brings no more than every client takes, and all polls together each line once, in order', async (t) => {
  const { served, lines } = await ended(t, 1000);
  const client = new Polling(served);
  await client.join();
  await client.emit('subscribe-to-logs', { taskId: 't1' });
  // Answers that come while lines wait are written behind them.
  for (let asked = 0; asked < 30; asked++) await client.emit('get-server-stats', {});
  await client.until('stream-complete');
  assert.deepEqual(client.messages(), lines);
  const longest = Math.max(...client.polls.map((packets) => packets.length));
  assert.ok(longest > 1 && longest < TAKEN_AT_ONCE, `${longest} packets in one poll`);
});

async function ended(t: TestContext, count: number): Promise<{ served: Served; lines: string[] }> {
  const served = await serveSocketIo(t);
  const lines = Array.from({ length: count }, (_, index) => String(index + 1));
  const run = await new TestRun(served, 't1').open();
  await run.write(...lines);
  await run.end();
  return { served, lines };
}
