import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskRecord } from '../store/store.ts';
import { KnownTasks } from './known-tasks.ts';

/** A store of one task, and how often it was asked. */
class OneTask {
  asked = 0;
  changes = 1;
  pipelineId: string | undefined;
  labels: Record<string, string> = {};

  task(task: string): Promise<TaskRecord> {
    this.asked++;
    const { pipelineId, labels } = this;
    return Promise.resolve({ task, ...(pipelineId !== undefined && { pipelineId }), labels } as TaskRecord);
  }

  change(): Promise<number> {
    return Promise.resolve(this.changes);
  }
}

test('asks once for all who need the same', async () => {
  const store = new OneTask();
  const known = new KnownTasks({ store });
  const owner = { task: 't', run: 'r' };
  assert.equal(known.of(owner), undefined);
  await Promise.all([known.ensure([owner, owner]), known.ensure([owner])]);
  assert.equal(known.of(owner)?.group, 't');
  assert.equal(store.asked, 1);
});

test('lines of a run that is new have their task looked up again', async () => {
  const store = new OneTask();
  const known = new KnownTasks({ store });
  await known.ensure([{ task: 't', run: 'one' }]);
  store.pipelineId = 'p';
  store.changes++;
  assert.equal(known.group({ task: 't', run: 'one' }), 't');
  assert.equal(known.group({ task: 't', run: 'two' }), undefined);
  await known.ensure([{ task: 't', run: 'two' }]);
  assert.equal(known.group({ task: 't', run: 'two' }), 'p');
});

test('notices within two seconds what changed, and asks for nothing that did not', async () => {
  let now = 0;
  const store = new OneTask();
  const known = new KnownTasks({ store, now: () => now });
  const owner = { task: 't', run: 'r' };
  await known.ensure([owner]);
  now = 2001;
  assert.equal(known.of(owner), undefined);
  await known.ensure([owner]);
  assert.equal(store.asked, 1);
  store.labels = { team: 'b' };
  store.changes++;
  assert.deepEqual(known.of(owner)?.labels, {});
  now = 4002;
  await known.ensure([owner]);
  assert.deepEqual(known.of(owner)?.labels, { team: 'b' });
  assert.equal(store.asked, 2);
});

test('a change while the task is read is not missed', async () => {
  let now = 0;
  const store = new OneTask();
  const known = new KnownTasks({ store, now: () => now });
  const read = store.task.bind(store);
  store.task = async (task) => {
    const record = await read(task);
    store.labels = { team: 'b' };
    store.changes++;
    return record;
  };
  const owner = { task: 't', run: 'r' };
  await known.ensure([owner]);
  now = 2001;
  await known.ensure([owner]);
  assert.deepEqual(known.of(owner)?.labels, { team: 'b' });
});

test('remembers a bounded number of tasks, those that were used last', async () => {
  const store = new OneTask();
  const known = new KnownTasks({ store });
  for (let at = 0; at < 20_000; at += 1000) {
    await known.ensure(Array.from({ length: 1000 }, (_, index) => ({ task: `t${at + index}`, run: 'r' })));
  }
  assert.equal(known.of({ task: 't0', run: 'r' }), undefined);
  assert.equal(known.of({ task: 't19999', run: 'r' })?.group, 't19999');
});

test('rejects as the store does, and tries again', async () => {
  const store = new OneTask();
  const read = store.task.bind(store);
  store.task = () => Promise.reject(new Error('not now'));
  const known = new KnownTasks({ store });
  await assert.rejects(known.ensure([{ task: 't' }]), /not now/);
  store.task = read;
  await known.ensure([{ task: 't' }]);
  assert.equal(known.of({ task: 't' })?.task, 't');
});

test('holds no more runs than it has room for, and looks up again what it had to forget', async () => {
  const known = new KnownTasks({ store: new OneTask(), now: () => 0, maxRuns: 10 });
  const owners = ['a', 'b', 'c', 'd'].flatMap((task) => ['1', '2', '3', '4'].map((run) => ({ task, run })));
  for (const owner of owners) await known.ensure([owner]);
  const held = owners.filter((owner) => known.of(owner) !== undefined);
  assert.deepEqual([...new Set(held.map(({ task }) => task))], ['c', 'd']);
  assert.equal(held.length, 8);
  assert.equal((await known.load(owners[0])).group, 'a');
  assert.equal(known.group(owners[0]), 'a');
});
