import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { WebSocket } from 'ws';
import type { Caller } from '../../caller.ts';
import type { MergedBatch } from '../../merged/merged-event.ts';
import type { StreamParts } from './parts.ts';
import { serveStream } from './stream-socket.ts';

test('nothing is read for a peer that is being closed and does not answer', async () => {
  const left = Promise.withResolvers<undefined>();
  const socket = { on: () => undefined, off: () => undefined, write: () => false, writableNeedDrain: true };
  const closing = Object.assign(new EventEmitter(), { readyState: 2, _socket: socket });
  let read = 0;
  async function* follow(): AsyncGenerator<MergedBatch> {
    while (read < 100) yield await Promise.resolve({ events: [], nextPosition: ++read });
  }
  const merged = { follow, place: () => Promise.resolve(1), epoch: () => 'e', cursors: () => String };
  const connections = { join: () => () => left.resolve(undefined) };
  const parts = { merged, connections, now: () => 0 } as unknown as StreamParts;
  const caller = { principal: { has: () => true } } as unknown as Caller;
  serveStream(closing as unknown as WebSocket, { caller, query: new URLSearchParams() }, parts);
  await left.promise;
  assert.equal(read, 1);
});
