import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { openReading, type Reading } from '../reading.fixture.ts';
import { StoreError, type Store } from '../store/store.ts';
import { line, openSenders, SOMEBODY, storedLines, storeWith } from './senders.fixture.ts';
import type { Written } from './sender.ts';

type Post = (key: string, ...texts: string[]) => Promise<Written>;

async function setUp(
  t: TestContext,
  replaced: (store: Store) => Partial<Store> = () => ({}),
): Promise<{ reading: Reading; post: Post; restart: () => Promise<Post> }> {
  const reading = await openReading(t);
  const open = async (store: Store): Promise<Post> => {
    const senders = await openSenders(t, { store, tail: reading.tail });
    return (key, ...texts) =>
      senders.keyed.write('t', { key, body: Buffer.from(texts.join()), lines: texts.map(line), caller: SOMEBODY });
  };
  return {
    reading,
    post: await open(storeWith(reading.store, replaced(reading.store))),
    restart: () => open(reading.store),
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

test('a line that was trimmed since is not stored again', async (t) => {
  const { reading, post } = await setUp(t);
  await post('k', 'a');
  await post('other', 'b');
  await reading.store.trim('t', 1);
  assert.deepEqual(await post('k', 'a'), { firstLine: 0, again: true });
  assert.deepEqual(await post('other', 'b'), { firstLine: 2, again: true });
});
