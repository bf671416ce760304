import assert from 'node:assert/strict';
import test from 'node:test';
import { StoreWatch } from './store-watch.ts';
import type { Store } from './store/store.ts';

test('the oldest write that is not answered counts, whatever becomes of it', async () => {
  let now = 0;
  const calls: PromiseWithResolvers<never>[] = [];
  const call = (): Promise<never> => {
    const one = Promise.withResolvers<never>();
    calls.push(one);
    return one.promise;
  };
  const watch = new StoreWatch({ markLost: call, annotate: call } as Partial<Store> as Store, () => now);
  assert.equal(watch.waitingMs, 0);
  const first = watch.markLost(0, 0);
  now = 1000;
  const second = watch.annotate('t', {}, 0);
  now = 4000;
  assert.equal(watch.waitingMs, 4000);
  calls[0].reject(new Error('busy'));
  await assert.rejects(first, /busy/);
  assert.equal(watch.waitingMs, 3000);
  calls[1].resolve(undefined as never);
  await second;
  assert.equal(watch.waitingMs, 0);
});
