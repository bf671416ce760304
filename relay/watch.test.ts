import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Store } from './store/store.ts';
import { Watch, type Past } from './watch.ts';

/** A store whose head the test moves; it counts who waits and asks. */
class FakeStore {
  head_: Past = { nextLine: 1, revision: 0 };
  waits = 0;
  heads = 0;
  pending = 0;
  #wakes: (() => void)[] = [];

  async wait(_task: string, past: Past, signal: AbortSignal): Promise<void> {
    this.waits++;
    this.pending++;
    try {
      while (this.head_.nextLine <= past.nextLine && this.head_.revision === past.revision) {
        await new Promise<void>((resolve, reject) => {
          this.#wakes.push(resolve);
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        });
      }
    } finally {
      this.pending--;
    }
  }

  async head(): Promise<Past> {
    this.heads++;
    await turn();
    return this.head_;
  }

  move(head: Partial<Past>): void {
    this.head_ = { ...this.head_, ...head };
    for (const wake of this.#wakes.splice(0)) wake();
  }
}

function setUp(wakeIntervalMs = 0): { store: FakeStore; watch: Watch } {
  const store = new FakeStore();
  return { store, watch: new Watch({ store: store as unknown as Store, wakeIntervalMs }) };
}

test('a hundred readers wait and ask at the store as one', async () => {
  const { store, watch } = setUp();
  const { signal } = new AbortController();
  const watchers = Array.from({ length: 100 }, () => watch.open('t', signal));
  const woken = Promise.all(watchers.map((watcher) => watcher.wait({ nextLine: 1, revision: 0 })));
  await turn();
  assert.equal(store.waits, 1);
  store.move({ nextLine: 2 });
  await woken;
  await Promise.all(watchers.map((watcher) => watcher.head()));
  assert.equal(store.heads, 1);
  for (const watcher of watchers) watcher.close();
});

test('who is behind another reader need not wait', async () => {
  const { store, watch } = setUp();
  store.move({ nextLine: 5, revision: 3 });
  const abort = new AbortController();
  const [ahead, behind, older] = Array.from({ length: 3 }, () => watch.open('t', abort.signal));
  const waiting = ahead.wait({ nextLine: 5, revision: 3 });
  await behind.wait({ nextLine: 4, revision: 3 });
  await older.wait({ nextLine: 5, revision: 2 });
  abort.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
});

test('who comes back behind another reader, both while nobody waits at the store, is not forgotten', async () => {
  const { store, watch } = setUp();
  const abort = new AbortController();
  const [ahead, behind] = Array.from({ length: 2 }, () => watch.open('t', abort.signal));
  const woken = [ahead, behind].map((watcher) => watcher.wait({ nextLine: 1, revision: 0 }));
  store.move({ nextLine: 3 });
  await Promise.all(woken);
  const late = behind.wait({ nextLine: 2, revision: 0 });
  const waiting = ahead.wait({ nextLine: 3, revision: 0 });
  await late;
  abort.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
});

test('a change of status wakes as a line does', async () => {
  const { store, watch } = setUp();
  const watcher = watch.open('t', new AbortController().signal);
  const woken = watcher.wait({ nextLine: 1, revision: 0 });
  await turn();
  store.move({ revision: 1 });
  await woken;
  watcher.close();
});

test('an abort ends one wait and leaves the others, and the last to close ends the wait at the store', async () => {
  const { store, watch } = setUp();
  const abort = new AbortController();
  const one = watch.open('t', abort.signal);
  const other = watch.open('t', new AbortController().signal);
  const aborted = one.wait({ nextLine: 1, revision: 0 });
  const woken = other.wait({ nextLine: 1, revision: 0 });
  await turn();
  const reason = new Error('gone');
  abort.abort(reason);
  await assert.rejects(aborted, reason);
  await assert.rejects(async () => one.wait({ nextLine: 1, revision: 0 }), reason);
  one.close();
  store.move({ nextLine: 2 });
  await woken;
  void other.wait({ nextLine: 2, revision: 0 });
  await turn();
  assert.equal(store.pending, 1);
  other.close();
  await turn();
  assert.equal(store.pending, 0);
});

test('an error of the store reaches all who wait', async () => {
  const { store, watch } = setUp();
  store.wait = () => Promise.reject(new Error('closed'));
  const watchers = Array.from({ length: 3 }, () => watch.open('t', new AbortController().signal));
  for (const result of await Promise.allSettled(
    watchers.map((watcher) => watcher.wait({ nextLine: 1, revision: 0 })),
  )) {
    assert.equal(result.status, 'rejected');
  }
  for (const watcher of watchers) watcher.close();
});

test('the first wake is immediate, the ones after it come in groups', async () => {
  const { store, watch } = setUp(50);
  const watcher = watch.open('t', new AbortController().signal);
  const appends = (async () => {
    while (store.head_.nextLine < 500) {
      store.move({ nextLine: store.head_.nextLine + 1 });
      await turn();
    }
  })();
  const heads: number[] = [];
  for (let nextLine = 1; nextLine < 500; nextLine = store.head_.nextLine) {
    await watcher.wait({ nextLine, revision: 0 });
    heads.push(store.head_.nextLine);
  }
  await appends;
  assert.ok(heads[0] < 10, `first woken at ${heads[0]}`);
  assert.ok(heads.length < 100, `${heads.length} wakes`);
  watcher.close();
});
