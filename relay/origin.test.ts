import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { startRelay } from './relay.ts';

type Relay = Awaited<ReturnType<typeof startRelay>>;

const folder = mkdtempSync(join(tmpdir(), 'keruta-origin-'));
const relays: Record<'open' | 'guarded', Relay | undefined> = { open: undefined, guarded: undefined };

async function start(name: string, authTokens: string[]): Promise<Relay> {
  return await startRelay({
    host: '127.0.0.1',
    port: 0,
    dataDir: join(folder, name),
    authTokens,
    lostAfterMs: 60_000,
    minFreeBytes: 0,
    windowBytes: 64 * 1024 * 1024,
    logLevel: 'silent',
  });
}

before(async () => {
  relays.open = await start('open', []);
  relays.guarded = await start('guarded', ['right']);
});
after(async () => {
  await Promise.all([relays.open?.stop(), relays.guarded?.stop()]);
  rmSync(folder, { recursive: true });
});

/** The status of an upgrade: 101, or that of its refusal. */
async function upgrade(
  relay: Relay | undefined,
  protocol: string | undefined,
  headers: Record<string, string>,
): Promise<number> {
  const socket = new WebSocket(`${relay?.url.replace('http', 'ws')}/ws/tasks/t`, protocol ?? [], { headers });
  socket.on('error', () => undefined);
  const refused = once(socket, 'unexpected-response') as Promise<[unknown, IncomingMessage]>;
  const status = await Promise.race([
    once(socket, 'open').then(() => 101),
    refused.then(([, answer]) => answer.statusCode ?? 0),
  ]);
  socket.terminate();
  return status;
}

const EVIL = 'https://evil.example';
const rows: [
  what: string,
  relay: 'open' | 'guarded',
  protocol: string | undefined,
  headers: Record<string, string>,
  status: number,
][] = [
  ['a program may read an open relay', 'open', undefined, {}, 101],
  ["a page of this machine may read an open relay's logs", 'open', undefined, { origin: 'http://localhost:3000' }, 101],
  ['a foreign page may not read an open relay', 'open', undefined, { origin: EVIL }, 403],
  ['a page without an origin may not either', 'open', undefined, { origin: 'null' }, 403],
  ['a foreign page with a token may read', 'guarded', undefined, { origin: EVIL, authorization: 'Bearer right' }, 101],
  ['a foreign page without one may not', 'guarded', undefined, { origin: EVIL }, 401],
  ['no page may write as an agent', 'open', SUBPROTOCOL, { origin: 'http://localhost:3000' }, 403],
];
for (const [what, relay, protocol, headers, status] of rows) {
  test(what, async () => {
    assert.equal(await upgrade(relays[relay], protocol, headers), status);
  });
}
