import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { HalfOpen } from './half-open.ts';

let server: Server;
let onConnection: (socket: Socket) => void;
const clients: Socket[] = [];

before(async () => {
  server = createServer((socket) => onConnection(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});
after(() => server.close());

async function open(): Promise<{ client: Socket; socket: Socket }> {
  const came = Promise.withResolvers<Socket>();
  const taken = onConnection;
  onConnection = (socket) => {
    taken(socket);
    came.resolve(socket);
  };
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  clients.push(client);
  const socket = await came.promise;
  onConnection = taken;
  return { client, socket };
}

test('of too many silent connections the oldest are cut', async () => {
  const halfOpen = new HalfOpen(3);
  onConnection = halfOpen.opened;
  const first = await open();
  const closed = once(first.client, 'close');
  const second = await open();
  await open();
  assert.equal(halfOpen.size, 3);
  await open();
  await closed;
  assert.equal(halfOpen.size, 3);
  assert.equal(second.socket.destroyed, false);
});

test('a connection that has asked something is not cut', async () => {
  const halfOpen = new HalfOpen(1);
  onConnection = halfOpen.opened;
  const { socket } = await open();
  halfOpen.asked(socket);
  await open();
  await open();
  assert.equal(socket.destroyed, false);
  assert.equal(halfOpen.size, 1);
});

test('a connection that has gone takes no place', async () => {
  const halfOpen = new HalfOpen(2);
  onConnection = halfOpen.opened;
  const { client, socket } = await open();
  const gone = once(socket, 'close');
  client.destroy();
  await gone;
  assert.equal(halfOpen.size, 0);
});
