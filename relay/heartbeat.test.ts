import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { WebSocket } from 'ws';
import { Heartbeat } from './heartbeat.ts';

class FakeSocket extends EventEmitter {
  readyState = 1;
  isPaused = false;
  pings: number[] = [];
  endedAt: number | undefined;
  readonly #now: () => number;
  constructor(now: () => number) {
    super();
    this.#now = now;
  }
  ping(): void {
    this.pings.push(this.#now());
  }
  terminate(): void {
    this.endedAt ??= this.#now();
    this.emit('close');
  }
}

/** Runs `seconds`, calling `each` before each tick; answers the socket. */
function run(
  seconds: number,
  each: (
    second: number,
    socket: FakeSocket,
    wire: { bytesRead: number; bytesWritten: number; writableLength: number },
  ) => void,
): FakeSocket {
  let now = 0;
  const heartbeat = new Heartbeat(() => now);
  const socket = new FakeSocket(() => now / 1000);
  const wire = { bytesRead: 0, bytesWritten: 0, writableLength: 0 };
  heartbeat.watch(socket as unknown as WebSocket, wire);
  for (let second = 1; second <= seconds; second++) {
    now += 1000;
    each(second, socket, wire);
    heartbeat.tick();
  }
  return socket;
}

test('a silent peer is pinged every 10 s and gone after 30', () => {
  const socket = run(60, () => undefined);
  assert.deepEqual(socket.pings, [10, 20]);
  assert.equal(socket.endedAt, 30);
});

test('a peer that answers pings lives for ever and is pinged no more often', () => {
  const socket = run(60, (_, { pings }, wire) => (wire.bytesRead = pings.length));
  assert.deepEqual(socket.pings, [10, 21, 32, 43, 54]);
  assert.equal(socket.endedAt, undefined);
});

test('a peer to whom we send all the time is pinged too: what we send says nothing of it', () => {
  const socket = run(60, (_, __, wire) => (wire.bytesWritten += 100));
  assert.deepEqual(socket.pings, [10, 20]);
  assert.equal(socket.endedAt, 30);
});

test('a slow reader lives as long as it takes something of what has piled up', () => {
  const slow = run(90, (second, _, wire) => {
    wire.bytesWritten = 1_000_000;
    wire.writableLength = 1_000_000 - 10 * Math.floor(second / 20);
  });
  assert.equal(slow.endedAt, undefined);
  const stuck = run(90, (_, __, wire) => (wire.bytesWritten = wire.writableLength = 1_000_000));
  assert.equal(stuck.endedAt, 30);
});

test('time in which we did not read does not count', () => {
  const socket = run(70, (second, one) => (one.isPaused = second <= 35));
  assert.equal(socket.endedAt, 65);
});

test('after we stood still ourselves, peers get the whole time again', () => {
  let now = 0;
  const heartbeat = new Heartbeat(() => now);
  const socket = new FakeSocket(() => now / 1000);
  heartbeat.watch(socket as unknown as WebSocket, { bytesRead: 0, bytesWritten: 0, writableLength: 0 });
  now = 3_600_000;
  heartbeat.tick();
  assert.equal(socket.endedAt, undefined);
  for (let second = 1; second <= 40; second++) {
    now += 1000;
    heartbeat.tick();
  }
  assert.equal(socket.endedAt, 3630);
});

test('a socket that is closing gets no ping, and a closed one is forgotten', () => {
  const socket = run(60, (second, one) => {
    if (second === 5) one.readyState = 2;
    if (second === 12) one.emit('close');
  });
  assert.deepEqual([socket.pings, socket.endedAt], [[], undefined]);
});
