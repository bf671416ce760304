import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { SUBPROTOCOL } from '../shared/wire.ts';
import type { Closing } from './uplink-connection.ts';
import { UplinkSocket } from './uplink-socket.ts';

const PING = 0x89;
const ACK = Buffer.from('{"type":"ack","nextSeq":0}');

test('a silent peer is pinged and then given up; any byte is a sign of life', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const peerCame = once(server, 'connection') as Promise<[Socket]>;
  t.mock.timers.enable({ apis: ['setInterval'] });
  const closings: Closing[] = [];
  const messages = new EventEmitter();
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  new UplinkSocket(
    { url, name: url, headers: {}, timeoutMs: 5000 },
    {
      onOpen: () => messages.emit('open'),
      onMessage: () => messages.emit('message'),
      onClose: (closing) => closings.push(closing),
    },
  );
  const [peer] = await peerCame;
  t.after(() => peer.destroy());
  const [request] = (await once(peer, 'data')) as [Buffer];
  const key = /sec-websocket-key: (.*)\r/i.exec(request.toString())?.[1] ?? '';
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  peer.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
  );
  await once(messages, 'open');
  const pings = async (): Promise<void> => {
    const [frame] = (await once(peer, 'data')) as [Buffer];
    assert.equal(frame[0], PING);
  };
  const seconds = (count: number): void => t.mock.timers.tick(count * 1000);
  seconds(2.5);
  let ping = pings();
  seconds(10);
  await ping;
  ping = pings();
  seconds(10);
  await ping;
  // It answers late, but it lives.
  const heard = once(messages, 'message');
  peer.write(Buffer.concat([Buffer.from([0x81, ACK.length]), ACK]));
  await heard;
  seconds(2.5);
  seconds(27.5);
  assert.equal(closings.length, 0);
  seconds(2.5);
  assert.equal(closings.at(0)?.retry, true);
  assert.match(closings.at(0)?.problem ?? '', /silent for 30 s/);
  seconds(100);
  assert.equal(closings.length, 1);
});
