import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'node:test';
import type { WebSocket } from 'ws';
import { FrameTurns } from './frame-turns.ts';

/** What turns use of a WebSocket. */
class FakeSocket extends EventEmitter {
  isPaused = false;

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

test('frames that came in one read are all taken, in order, before more is read', async () => {
  const socket = new FakeSocket();
  const taken: string[] = [];
  const gates = new Map(['a', 'b', 'c'].map((frame) => [frame, Promise.withResolvers<undefined>()]));
  const turns = new FrameTurns(socket as unknown as WebSocket, {
    take: async (frame) => {
      taken.push(frame);
      await gates.get(frame)?.promise;
    },
    onError: (error) => assert.fail(String(error)),
  });
  turns.start();
  for (const frame of gates.keys()) socket.emit('message', Buffer.from(frame), false);
  const reading: boolean[] = [];
  for (const gate of gates.values()) {
    await turn();
    reading.push(!socket.isPaused);
    gate.resolve(undefined);
  }
  await turns.settled();
  reading.push(!socket.isPaused);
  assert.deepEqual(taken, ['a', 'b', 'c']);
  assert.deepEqual(reading, [false, false, false, true]);
});
