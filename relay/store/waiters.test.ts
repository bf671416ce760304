import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { StoreError } from './store.ts';
import { Waiters, type KnownHead, type LookUp } from './waiters.ts';

const never = new AbortController().signal;

type Answer = Awaited<ReturnType<LookUp>>;

/** Waiters whose look-ups are answered by hand. */
function setup(): {
  waiters: Waiters;
  asked: { tasks: string[]; answer: (answer: Answer) => Promise<void>; fail: (error: Error) => void }[];
} {
  const asked: ReturnType<typeof setup>['asked'] = [];
  const waiters = new Waiters(
    (tasks) =>
      new Promise((resolve, reject) => {
        const answer = async (result: Answer): Promise<void> => {
          resolve(result);
          await turn();
          await turn();
        };
        asked.push({ tasks, answer, fail: reject });
      }),
  );
  return { waiters, asked };
}

const head = (nextLine: number, revision = 1): KnownHead => ({ nextLine, revision });
async function isOver(wait: Promise<void>): Promise<boolean> {
  let over = false;
  void wait.then(() => (over = true));
  await turn();
  await turn();
  return over;
}

test('many waiters of a moment are one look-up', async () => {
  const { waiters, asked } = setup();
  const waits = [
    waiters.wait('t', head(1), never),
    waiters.wait('t', head(2), never),
    waiters.wait('u', head(1), never),
  ];
  await turn();
  assert.deepEqual(
    asked.map(({ tasks }) => tasks),
    [['t', 'u']],
  );
  await asked[0].answer({ heads: [head(2), undefined], nextPosition: 1, change: 0 });
  assert.deepEqual(await Promise.all(waits.map(isOver)), [true, false, false]);
});

test('a head that is known is not looked up again', async () => {
  const { waiters, asked } = setup();
  void waiters.wait('t', head(5), never);
  await turn();
  await asked[0].answer({ heads: [head(3)], nextPosition: 2, change: 0 });
  await waiters.wait('t', head(2), never);
  waiters.advance('t', { nextLine: 6 });
  assert.equal(await isOver(waiters.wait('t', head(5), never)), true);
  assert.equal(asked.length, 1);
});

test('after forget, an answer to an older question does not count as knowledge', async () => {
  const { waiters, asked } = setup();
  const wait = waiters.wait('t', head(1), never);
  await turn();
  waiters.forget();
  await asked[0].answer({ heads: [head(1)], nextPosition: 0, change: 0 });
  assert.equal(asked.length, 2);
  assert.equal(await isOver(wait), false);
  await asked[1].answer({ heads: [head(2)], nextPosition: 1, change: 0 });
  assert.equal(await isOver(wait), true);
});

test('a waiter that knows a newer revision than the heads do does not wake at once', async () => {
  const { waiters } = setup();
  void waiters.wait('t', head(9), never);
  waiters.advance('t', head(3, 4));
  assert.equal(await isOver(waiters.wait('t', head(3, 5), never)), false);
});

test('an advance wakes only those that it is past', async () => {
  const { waiters } = setup();
  const waits = [
    waiters.wait('t', head(1, 1), never),
    waiters.wait('t', head(2, 1), never),
    waiters.wait('u', head(1, 1), never),
  ];
  waiters.advance('t', { nextLine: 2 });
  assert.deepEqual(await Promise.all(waits.map(isOver)), [true, false, false]);
  assert.equal(waiters.count, 2);
});

test('waiting for the whole store is asked once and woken by any commit', async () => {
  const { waiters, asked } = setup();
  const wait = waiters.waitAll(3, never);
  await turn();
  await asked[0].answer({ heads: [], nextPosition: 3, change: 0 });
  assert.equal(await isOver(wait), false);
  waiters.advanceAll({ nextPosition: 4, change: 0 });
  assert.equal(await isOver(wait), true);
  await waiters.waitAll(3, never);
  assert.equal(asked.length, 1);
});

test('waiting for a change of any task is woken by changes, not by lines', async () => {
  const { waiters, asked } = setup();
  const waits = [waiters.waitChange(3, never), waiters.waitAll(5, never), waiters.waitChange(4, never)];
  await turn();
  await asked[0].answer({ heads: [], nextPosition: 5, change: 3 });
  waiters.advanceAll({ nextPosition: 6, change: 3 });
  assert.deepEqual(await Promise.all(waits.map(isOver)), [false, true, false]);
  waiters.advanceAll({ nextPosition: 6, change: 4 });
  assert.deepEqual(await Promise.all(waits.map(isOver)), [true, true, false]);
  await waiters.waitChange(3, never);
  waiters.forget();
  await turn();
  await asked[1].answer({ heads: [], nextPosition: 6, change: 5 });
  assert.equal(await isOver(waits[2]), true);
  assert.equal(waiters.count, 0);
});

test('a look-up that fails is told to whoever waited for it', async () => {
  const { waiters, asked } = setup();
  const refused = assert.rejects(waiters.wait('t', head(1), never), { message: 'no disk' });
  await turn();
  asked[0].fail(new Error('no disk'));
  await refused;
  assert.equal(waiters.count, 0);
});

test('what nobody waits for any more is remembered only up to a bound', async () => {
  const { waiters, asked } = setup();
  const abort = new AbortController();
  const first = waiters.wait('kept', head(1), never);
  for (let i = 0; i < 5000; i++) waiters.wait(`t${i}`, head(1), abort.signal).catch(() => undefined);
  abort.abort();
  for (let i = 0; i < 5000; i++) waiters.wait(`u${i}`, head(1), never).catch(() => undefined);
  await turn();
  const before = asked.length;
  // Long evicted: it is unknown again, and so it is asked for again.
  void waiters.wait('t0', head(1), never);
  await turn();
  assert.deepEqual(
    asked.slice(before).map(({ tasks }) => tasks),
    [['t0']],
  );
  waiters.advance('kept', { nextLine: 2 });
  assert.equal(await isOver(first), true);
});

test('close rejects all, and whoever comes later', async () => {
  const { waiters } = setup();
  const error = new StoreError('closed', 'closed');
  const refused = [waiters.wait('t', head(1), never), waiters.waitAll(1, never)].map((wait) =>
    assert.rejects(wait, error),
  );
  waiters.close(error);
  await Promise.all([...refused, assert.rejects(waiters.wait('t', head(1), never), error)]);
});
