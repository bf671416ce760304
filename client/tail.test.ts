import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Dialer } from '../agent/dialer.ts';
import { viewerConnect } from '../agent/logs-socket.ts';
import { serveViewers } from '../relay/api/keruta/viewer.fixture.ts';
import { openReading, TestRun } from '../relay/reading.fixture.ts';
import { Random } from '../test/random.ts';
import { createClient } from './client.ts';
import type { OpenSocket } from './socket.ts';
import { tailGroups, type TailOptions } from './tail.ts';

/** A socket as browsers have it, that can't be paused. */
function unpausable(open: OpenSocket): OpenSocket {
  return (events) => {
    const socket = open(events);
    return { send: (text) => socket.send(text), close: () => socket.close() };
  };
}

for (const { seed, sockets } of [
  { seed: 1, sockets: 'can be paused' },
  { seed: 2, sockets: 'can not be paused' },
  { seed: 3, sockets: 'can not be paused' },
]) {
  test(`a flood through random cuts brings every tail of a client every line once (seed ${seed}, sockets that ${sockets})`, async (t) => {
    const dice = new Random(seed);
    const random = (): number => dice.below(2 ** 30) / 2 ** 30;
    const reading = await openReading(t);
    const run = await new TestRun(reading, 't').open();
    const { url, server } = await serveViewers(t, reading);
    const total = 30_000;
    let written = 0;
    const write = async (lines: number): Promise<void> => {
      const texts = Array.from({ length: Math.min(lines, total - written) }, (_, i) => `line ${written + i + 1}`);
      written += texts.length;
      await run.write(...texts);
    };
    // History, then the flood, with gaps in both.
    while (written < total / 3) await write(1 + Math.floor(random() * 2000));
    const flood = (async () => {
      while (written < total) {
        await write(1 + Math.floor(random() * random() * 500));
        if (random() < 0.15) for (const client of server.clients) client.terminate();
        if (random() < 0.1) await turn();
      }
      await run.gap(7);
      await run.end(5);
    })();
    const dialer = new Dialer({ connectTimeoutMs: 5000 });
    const open = viewerConnect({ urls: [url], task: 't', dialer, timeoutMs: 5000 });
    const client = createClient({
      url,
      webSocket: sockets === 'can be paused' ? open : unpausable(open),
      backoff: { minMs: 1, maxMs: 10 },
      random,
    });
    let lags = 0;
    const read = async (options: TailOptions, lazy: boolean): Promise<string[]> => {
      const seen: string[] = [];
      for await (const group of tailGroups(client, { task: 't' }, options)) {
        for (const event of group) {
          if (event.type === 'log') seen.push(`${event.lineNumber} ${event.message}`);
          if (event.type === 'gap') seen.push(`gap ${event.fromLine}-${event.toLine}`);
          if (event.type === 'lag') lags++;
          if (event.type === 'end') return seen;
        }
        if (lazy) for (let turns = 0; turns < 20; turns++) await turn();
      }
      return seen;
    };
    const lines = Array.from({ length: total }, (_, i) => `${i + 1} line ${i + 1}`);
    const gap = `gap ${total + 1}-${total + 7}`;
    const seen = await Promise.all([
      read({ from: 'start' }, false),
      read({ from: 'start' }, true),
      read({ from: 20_001 }, false),
      read({ from: 'start', filter: { text: '77' } }, false),
    ]);
    await flood;
    client.close();
    assert.deepEqual(seen, [
      [...lines, gap],
      [...lines, gap],
      [...lines.slice(20_000), gap],
      [...lines.filter((line) => line.split(' ', 2)[0].includes('77')), gap],
    ]);
    assert.ok(lags > 0);
  });
}
