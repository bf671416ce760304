import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { openReading, T0, until, type Reading } from '../reading.fixture.ts';
import { StoreError, type Store } from '../store/store.ts';
import type { Senders } from './senders.ts';
import { line, openSenders, SOMEBODY, storedLines, storeWith } from './senders.fixture.ts';
import type { Written } from './sender.ts';

type Post = (key: string, ...texts: string[]) => Promise<Written>;

async function setUp(
  t: TestContext,
  replaced: (store: Store) => Partial<Store> = () => ({}),
): Promise<{ reading: Reading; post: Post; restart: () => Promise<Post>; pass: (ms: number) => Promise<void> }> {
  const reading = await openReading(t);
  const clock = { now: T0 };
  const all: Senders[] = [];
  const open = async (store: Store): Promise<Post> => {
    const senders = await openSenders(t, { store, tail: reading.tail }, { now: () => clock.now });
    all.push(senders);
    return (key, ...texts) =>
      senders.keyed.write('t', { key, body: Buffer.from(texts.join()), lines: texts.map(line), caller: SOMEBODY });
  };
  return {
    reading,
    post: await open(storeWith(reading.store, replaced(reading.store))),
    restart: () => open(reading.store),
    pass: async (ms) => {
      clock.now += ms;
      await Promise.all(all.map((senders) => senders.sweep()));
    },
  };
}

const conflict = (error: unknown): boolean => error instanceof KerutaError && error.code === 'CONFLICT';

test('the same key and body store once, and answer the same', async (t) => {
  const { reading, post, restart } = await setUp(t);
  assert.deepEqual(await post('k', 'a', 'b'), { firstLine: 1 });
  assert.deepEqual(await post('other', 'c'), { firstLine: 3 });
  assert.deepEqual(await post('k', 'a', 'b'), { firstLine: 1, again: true });
  assert.deepEqual(await (await restart())('k', 'a', 'b'), { firstLine: 1, again: true });
  assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 b', '3 c']);
});

test('the same key with another body is a conflict, and stores nothing', async (t) => {
  const { reading, post } = await setUp(t);
  await post('k', 'a');
  await assert.rejects(post('k', 'b'), conflict);
  assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
});

test('the same key at the same time stores once', async (t) => {
  const { reading, post, restart } = await setUp(t);
  const other = await restart();
  const same = await Promise.all(Array.from({ length: 10 }, () => post('k', 'a')));
  assert.deepEqual(new Set(same.map(({ firstLine }) => firstLine)), new Set([1]));
  await assert.rejects(Promise.all([post('m', 'x'), post('m', 'y')]), conflict);
  await other('k', 'a');
  assert.equal((await storedLines(reading, 't')).length, 2);
});

for (const { what, fails } of [
  { what: 'before anything was stored', fails: 'append' },
  { what: 'before the run had ended', fails: 'end' },
] as const) {
  test(`a relay that was killed ${what} stores once in the end`, async (t) => {
    const killed = (): Promise<never> => Promise.reject(new StoreError('closed', 'killed'));
    const { reading, post, restart } = await setUp(t, () => ({ [fails]: killed }));
    await assert.rejects(post('k', 'a'), { reason: 'closed' });
    const again = await restart();
    assert.equal((await again('k', 'a')).firstLine, 1);
    assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
    const runs = (await reading.store.runs('t')).filter(({ agentVersion }) => agentVersion.startsWith('api/key:'));
    assert.ok(runs.every(({ verified, status }) => verified === true && status === 'succeeded'));
  });
}

for (const { fails, lines } of [
  { fails: 'append', lines: 0 },
  { fails: 'end', lines: 1 },
] as const) {
  test(`a run whose ${fails} failed does not stay open when nobody comes again`, async (t) => {
    let failing = true;
    const { reading, post, pass } = await setUp(t, (store) => ({
      [fails]: (given: never) =>
        failing ? Promise.reject(new StoreError('other', 'busy')) : (store[fails] as (one: never) => unknown)(given),
    }));
    await assert.rejects(post('k', 'a'), { reason: 'other' });
    failing = false;
    await pass(30_000);
    const found = async () =>
      (await reading.store.runs('t'))
        .filter(({ agentVersion }) => agentVersion.startsWith('api/key:'))
        .map((run) => ({ status: run.status, verified: run.verified, lines: run.lines }));
    assert.deepEqual(await found(), [{ status: 'running', verified: null, lines }], 'it may come again');
    await pass(30_000);
    assert.deepEqual(await found(), [{ status: 'succeeded', verified: true, lines }]);
    assert.equal((await post('k', 'a')).firstLine, 1);
    assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
  });
}

test('a store that does not answer is not waited for without end, and the same again finds what it did', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const commit: PromiseWithResolvers<void> = Promise.withResolvers();
  let asked = 0;
  const { reading, post } = await setUp(t, (store) => ({
    append: async (append) => {
      asked++;
      await commit.promise;
      return store.append(append);
    },
  }));
  const stuck = post('k', 'a');
  await until(() => asked === 1);
  const behind = post('k', 'a');
  const refused = [stuck, behind].map((one) => assert.rejects(one, /whether this was stored is not known/));
  t.mock.timers.tick(10_000);
  await Promise.all(refused);
  commit.resolve();
  assert.deepEqual(await post('k', 'a'), { firstLine: 1, again: true });
  assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
});

test('a line that was trimmed since is not stored again', async (t) => {
  const { reading, post } = await setUp(t);
  await post('k', 'a');
  await post('other', 'b');
  await reading.store.trim('t', 1);
  assert.deepEqual(await post('k', 'a'), { firstLine: 0, again: true });
  assert.deepEqual(await post('other', 'b'), { firstLine: 2, again: true });
});
