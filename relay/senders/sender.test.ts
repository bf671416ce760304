import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { openReading, until, type Reading } from '../reading.fixture.ts';
import { StoreError, type Store } from '../store/store.ts';
import type { Sender } from './sender.ts';
import { FAILED, SENT_BY, SUCCEEDED } from './sent-run.ts';
import { line, openSenders, SOMEBODY, storedLines, storeWith } from './senders.fixture.ts';

async function setUp(
  t: TestContext,
  { replaced = () => ({}), chained = false }: { replaced?: (store: Store) => Partial<Store>; chained?: boolean } = {},
): Promise<{ reading: Reading; sender: Sender }> {
  const reading = await openReading(t);
  const store = storeWith(reading.store, replaced(reading.store));
  const senders = await openSenders(t, { store, tail: reading.tail });
  return { reading, sender: senders.sender('t', { caller: SOMEBODY, by: SENT_BY.socket, chained }) };
}

test('lines are stored in order, those of one moment in one chunk, and the run proves to be complete', async (t) => {
  let appends = 0;
  const { reading, sender } = await setUp(t, {
    replaced: (store) => ({
      append: (append) => {
        appends++;
        return store.append(append);
      },
    }),
  });
  const written = await Promise.all(Array.from({ length: 100 }, (_, i) => sender.write([line(`${i}`)])));
  assert.deepEqual(
    written.map(({ firstLine }) => firstLine),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  assert.equal(appends, 1);
  await sender.end(SUCCEEDED);
  const [run] = await reading.store.runs('t');
  assert.deepEqual([run.status, run.verified, run.lines, run.workerId], ['succeeded', true, 100, '127.0.0.1']);
  assert.deepEqual(
    await storedLines(reading, 't'),
    Array.from({ length: 100 }, (_, i) => `${i + 1} ${i}`),
  );
});

test('a write resolves only when the store has committed, and what comes meanwhile waits', async (t) => {
  const commit: PromiseWithResolvers<void> = Promise.withResolvers();
  const asked: number[] = [];
  const { reading, sender } = await setUp(t, {
    replaced: (store) => ({
      append: async (append) => {
        asked.push(append.bytes.length);
        const outcome = await store.append(append);
        await commit.promise;
        return outcome;
      },
    }),
  });
  let written = 0;
  const first = sender.write([line('first')]).then(() => written++);
  await until(() => asked.length === 1);
  const others = Array.from({ length: 10 }, (_, i) => sender.write([line(`${i}`)]).then(() => written++));
  while ((await reading.store.head('t'))?.nextLine !== 2);
  assert.equal(written, 0);
  commit.resolve();
  await Promise.all([first, ...others]);
  assert.equal(asked.length, 2);
});

test('lines that were given together are stored together, however large', async (t) => {
  const { reading, sender } = await setUp(t);
  const large = Array.from({ length: 1000 }, (_, i) => line(`${i} ${'x'.repeat(400)}`));
  const [one, all, last] = await Promise.all([
    sender.write([line('a')]),
    sender.write(large),
    sender.write([line('z')]),
  ]);
  assert.deepEqual([one.firstLine, all.firstLine, last.firstLine], [1, 2, 1002]);
  const stored = await reading.store.read({ from: { task: 't', line: 1 }, maxBytes: 1, wants: { headersOnly: true } });
  assert.deepEqual(
    stored.map(({ count }) => count),
    [1, 1000, 1],
  );
});

test('a line behind the end opens another run, and both are complete', async (t) => {
  const { reading, sender } = await setUp(t);
  const writes = [sender.write([line('a')]), sender.end(FAILED), sender.write([line('b')]), sender.end(FAILED)];
  await Promise.all(writes);
  const runs = await reading.store.runs('t');
  assert.deepEqual(
    runs.map(({ status, verified, lines }) => ({ status, verified, lines })),
    [
      { status: 'failed', verified: true, lines: 1 },
      { status: 'failed', verified: true, lines: 1 },
    ],
  );
});

test('an append that fails stores nothing, says so, and the next one goes on behind what is there', async (t) => {
  let fails = false;
  const { reading, sender } = await setUp(t, {
    replaced: (store) => ({
      append: (append) => (fails ? Promise.reject(new StoreError('full', 'no room')) : store.append(append)),
    }),
  });
  await sender.write([line('a')]);
  fails = true;
  await assert.rejects(sender.write([line('b')]), { reason: 'full' });
  fails = false;
  await sender.write([line('c')]);
  await sender.end(SUCCEEDED);
  assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 c']);
  assert.equal((await reading.store.runs('t'))[0].verified, true);
});

test('where order counts, a failure takes all with it that waits behind it', async (t) => {
  let calls = 0;
  const { reading, sender } = await setUp(t, {
    chained: true,
    replaced: (store) => ({
      append: (append) => {
        calls++;
        // What waits behind it comes while it is under way.
        if (calls === 1) later();
        return calls === 1 ? Promise.reject(new StoreError('other', 'busy')) : store.append(append);
      },
    }),
  });
  const waiting: Promise<unknown>[] = [];
  const later = (): void => {
    waiting.push(assert.rejects(sender.write([line('b')]), { reason: 'other' }));
  };
  await assert.rejects(sender.write([line('a')]), { reason: 'other' });
  await Promise.all(waiting);
  assert.equal(waiting.length, 1);
  assert.deepEqual(await storedLines(reading, 't'), []);
  await sender.write([line('a')]);
  assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
});

test('a run that somebody else has ended is followed by another one', async (t) => {
  const { reading, sender } = await setUp(t);
  await sender.write([line('a')]);
  const [run] = await reading.store.runs('t');
  const { fence } = await reading.store.open({ ...run, ackedSeq: 0, now: 1 });
  await reading.store.end({
    ...{ task: 't', run: run.run, fence, exitCode: null, signal: null, reason: 'agent-died' },
    ...{ nextSeq: 1, lines: run.lines, bytes: run.textBytes, digest: run.digest, endedAt: 1, now: 1 },
  });
  assert.deepEqual(await sender.write([line('b')]), { firstLine: 2 });
  assert.equal((await reading.store.runs('t')).length, 2);
});

test('a store that does not answer is not waited for without end, and its late answer counts', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const commit: PromiseWithResolvers<void> = Promise.withResolvers();
  let asked = 0;
  const { reading, sender } = await setUp(t, {
    replaced: (store) => ({
      append: async (append) => {
        asked++;
        if (asked === 1) await commit.promise;
        return store.append(append);
      },
    }),
  });
  const stuck = sender.write([line('a')]);
  await until(() => asked === 1);
  const waiting = sender.write([line('b')]);
  const refused = [
    assert.rejects(stuck, (error) => error instanceof KerutaError && /is not known/.test(error.message)),
    assert.rejects(waiting, (error) => error instanceof KerutaError && /was not stored/.test(error.message)),
  ];
  t.mock.timers.tick(10_000);
  await Promise.all(refused);
  await assert.rejects(sender.write([line('late')]), /was not stored/, 'at once, while it is still silent');
  commit.resolve();
  await sender.settled();
  assert.deepEqual(await sender.write([line('c')]), { firstLine: 2 });
  assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 c']);
});

test('a holding sender waits for the store however long, until the relay stops', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const commit: PromiseWithResolvers<void> = Promise.withResolvers();
  let asked = 0;
  const reading = await openReading(t);
  const store = storeWith(reading.store, {
    append: async (append) => {
      asked++;
      await commit.promise;
      return reading.store.append(append);
    },
  });
  const senders = await openSenders(t, { store, tail: reading.tail });
  const sender = senders.holdingSender('t', () => ({ caller: SOMEBODY, by: SENT_BY.grpc }));
  const held = sender.write([line('a')]);
  await until(() => asked === 1);
  const behind = assert.rejects(sender.write([line('b')]), /was not stored/);
  for (let i = 0; i < 10; i++) t.mock.timers.tick(10_000);
  const stopped = senders.stop();
  const refused = assert.rejects(held, /is not known/);
  await until(() => senders.draining);
  t.mock.timers.tick(10_000);
  await Promise.all([refused, behind]);
  commit.resolve();
  await stopped;
});
