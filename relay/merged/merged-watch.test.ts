import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MergedWatch } from './merged-watch.ts';

/** A store's head that is moved by hand, and how often somebody waited for it. */
class Head {
  waits = 0;
  #position = 0;
  #waiting: { past: number; resolve: () => void }[] = [];

  waitAll(past: number, signal: AbortSignal): Promise<void> {
    this.waits++;
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
      if (this.#position > past) resolve();
      else this.#waiting.push({ past, resolve });
    });
  }

  moveTo(position: number): void {
    this.#position = position;
    for (const { past, resolve } of this.#waiting) if (position > past) resolve();
  }
}

const LOUD = { end: undefined, isQuiet: () => false };
const never = new AbortController().signal;

test('all readers wait at the store together', async () => {
  const head = new Head();
  const watch = new MergedWatch({ store: head, tail: LOUD });
  const waits = Array.from({ length: 100 }, () => watch.open({ signal: never }).wait(3));
  await turn();
  head.moveTo(4);
  assert.deepEqual(new Set(await Promise.all(waits)), new Set([3]));
  assert.equal(head.waits, 1);
});

test('a place that others have seen passed need not be waited for', async () => {
  const head = new Head();
  const watch = new MergedWatch({ store: head, tail: LOUD });
  const ahead = watch.open({ signal: never }).wait(9);
  assert.equal(await watch.open({ signal: never }).wait(5), 5);
  head.moveTo(10);
  await ahead;
});

test('who comes back behind another reader, both while nobody waits at the store, is not forgotten', async () => {
  const head = new Head();
  const watch = new MergedWatch({ store: head, tail: LOUD, wakeIntervalMs: 0 });
  const [ahead, behind] = [watch.open({ signal: never }), watch.open({ signal: never })];
  const woken = [ahead.wait(1), behind.wait(1)];
  head.moveTo(3);
  await Promise.all(woken);
  const late = behind.wait(2);
  const waiting = ahead.wait(3);
  assert.equal(await late, 2);
  head.moveTo(4);
  await waiting;
});

test('readers of a group are passed on while it is quiet, and woken where it is not', async () => {
  const head = new Head();
  const tail = { end: 5, isQuiet: (group: string, position: number) => group === 'quiet' && position < tail.end };
  const watch = new MergedWatch({ store: head, tail });
  const quiet = watch.open({ group: 'quiet', signal: never });
  let woken = false;
  const waiting = quiet.wait(3).then((position) => {
    woken = true;
    return position;
  });
  const loud = watch.open({ group: 'loud', signal: never }).wait(3);
  head.moveTo(5);
  assert.equal(await loud, 3);
  assert.equal(quiet.position, 5);
  assert.equal(woken, false);
  quiet.wake();
  assert.equal(await waiting, 5);
});

test('whoever comes after the last one has left waits anew', async () => {
  const head = new Head();
  const watch = new MergedWatch({ store: head, tail: LOUD });
  for (let i = 0; i < 3; i++) {
    const abort = new AbortController();
    const first = watch.open({ signal: abort.signal });
    const left = first.wait(0);
    abort.abort(new Error('gone'));
    await assert.rejects(left, /gone/);
    first.close();
    first.close();
    const second = watch.open({ signal: never });
    const waiting = second.wait(i);
    await turn();
    head.moveTo(i + 1);
    assert.equal(await waiting, i);
    second.close();
  }
});

test('everybody hears of it when the store can’t be waited for', async () => {
  const store = { waitAll: () => Promise.reject(new Error('the store is closed')) };
  const watch = new MergedWatch({ store, tail: LOUD });
  const waits = [0, 1].map((position) => watch.open({ signal: never }).wait(position));
  for (const wait of waits) await assert.rejects(wait, /closed/);
});
