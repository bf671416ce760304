import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openReading, T0, TestRun, until, type Reading } from '../reading.fixture.ts';
import { storeWith } from '../senders/senders.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { StoreError, type Store } from '../store/store.ts';
import { PipelineWatch } from './pipeline-watch.ts';
import type { PipelineSnapshot } from './snapshot.ts';

async function setUp(
  t: TestContext,
  replaced: (store: Store) => Partial<Store> = () => ({}),
): Promise<{ reading: Reading; watch: PipelineWatch; follow: (group: string, signal?: AbortSignal) => Following }> {
  const reading = await openReading(t);
  const watch = new PipelineWatch({ store: storeWith(reading.store, replaced(reading.store)), intervalMs: 1 });
  const follow = (group: string, signal = t.signal): Following => new Following(watch, group, signal);
  return { reading, watch, follow };
}

class Following {
  readonly #snapshots: AsyncGenerator<PipelineSnapshot, never, undefined>;

  constructor(watch: PipelineWatch, group: string, signal: AbortSignal) {
    this.#snapshots = watch.follow(group, signal);
  }

  async next(): Promise<PipelineSnapshot> {
    return (await this.#snapshots.next()).value;
  }

  /** The next snapshot of which `wanted` holds: one change may come as several. */
  async until(wanted: (snapshot: PipelineSnapshot) => boolean): Promise<PipelineSnapshot> {
    for (;;) {
      const snapshot = await this.next();
      if (wanted(snapshot)) return snapshot;
    }
  }

  async end(): Promise<void> {
    await this.#snapshots.return(undefined as never);
  }
}

const open = (reading: Reading, task: string, pipelineId?: string): Promise<TestRun> =>
  new TestRun(reading, task).open({}, pipelineId === undefined ? {} : { pipelineId });
const tasksOf = ({ tasks }: PipelineSnapshot): string[] => tasks.map(({ task, status }) => `${task} ${status}`);

test('a pipeline is followed from before it exists through everything that its tasks become', async (t) => {
  const { reading, watch, follow } = await setUp(t);
  const following = follow('p');
  assert.deepEqual(await following.next(), { pipelineId: 'p', pipeline: undefined, tasks: [], leftOut: 0 });
  const build = await open(reading, 'build', 'p');
  assert.deepEqual(tasksOf(await following.next()), ['build running']);
  await open(reading, 'check', 'p');
  assert.deepEqual(tasksOf(await following.next()), ['build running', 'check running']);
  await reading.store.annotate('check', { progress: 40 }, T0);
  assert.equal((await following.next()).pipeline?.progress, 40);
  await build.end(2);
  const last = await following.next();
  assert.deepEqual([tasksOf(last), last.pipeline?.statuses.failed], [['build failed', 'check running'], 1]);
  await following.end();
  assert.equal(watch.size, 0);
});

test('lines, and what happens elsewhere, bring no snapshot', async (t) => {
  const { reading, follow } = await setUp(t);
  const build = await open(reading, 'build', 'p');
  const following = follow('p');
  await following.next();
  await build.write('a');
  await open(reading, 'other', 'q');
  await open(reading, 'p2');
  await reading.store.annotate('build', { message: 'now' }, T0);
  const { tasks } = await following.next();
  assert.equal(tasks[0].message, 'now');
});

test('a task without a pipeline is followed by its own id, alone or beside the pipeline of that id', async (t) => {
  const { reading, follow } = await setUp(t);
  const alone = await open(reading, 'same');
  const following = follow('same');
  assert.deepEqual(tasksOf(await following.next()), ['same running']);
  await open(reading, 'build', 'same');
  const { tasks, pipeline } = await following.next();
  assert.deepEqual([tasks.map(({ task }) => task), pipeline?.tasks, pipeline?.openRuns], [['same', 'build'], 2, 2]);
  await alone.end();
  await following.next();
  // It moves into another pipeline.
  await open(reading, 'same', 'elsewhere');
  assert.deepEqual(tasksOf(await following.next()), ['build running']);
});

test('all who follow a pipeline get the same snapshots, and who comes later gets the newest', async (t) => {
  let reads = 0;
  const { reading, watch, follow } = await setUp(t, (store) => ({
    tasks: (query) => {
      reads++;
      return store.tasks(query);
    },
  }));
  const build = await open(reading, 'build', 'p');
  const followings = [follow('p'), follow('p'), follow('p')];
  const firsts = await Promise.all(followings.map((one) => one.next()));
  assert.ok(firsts.every((snapshot) => snapshot === firsts[0]));
  assert.equal(reads, 1);
  const nexts = followings.map((one) => one.next());
  await build.end();
  const seconds = await Promise.all(nexts);
  assert.ok(seconds.every((snapshot) => snapshot === seconds[0] && tasksOf(snapshot)[0] === 'build succeeded'));
  const late = follow('p');
  assert.equal(await late.next(), seconds[0]);
  assert.equal(watch.size, 1);
  for (const one of [...followings, late]) await one.end();
  assert.equal(watch.size, 0);
});

test('who is slow gets the newest snapshot, not all of them', async (t) => {
  const { reading, follow } = await setUp(t);
  await open(reading, 'build', 'p');
  const [slow, quick] = [follow('p'), follow('p')];
  await slow.next();
  for (let progress = 1; progress <= 5; progress++) {
    await reading.store.annotate('build', { progress }, T0);
    await quick.until(({ tasks }) => tasks[0].progress === progress);
  }
  assert.equal((await slow.next()).tasks[0].progress, 5);
});

test('another handle’s changes are seen', async (t) => {
  const { reading, follow } = await setUp(t);
  const other = await openSqliteStore({ path: reading.path });
  t.after(() => other.close());
  const following = follow('p');
  await following.next();
  await open({ ...reading, store: other }, 'build', 'p');
  assert.deepEqual(tasksOf(await following.next()), ['build running']);
});

test('ends with the signal, whether it waits or not', async (t) => {
  const { watch, follow } = await setUp(t);
  const gone = new Error('the client has gone');
  const waiting = new AbortController();
  const following = follow('p', waiting.signal);
  await following.next();
  const refused = assert.rejects(following.next(), gone);
  waiting.abort(gone);
  await refused;
  await assert.rejects(follow('p', AbortSignal.abort(gone)).next(), gone);
  assert.equal(watch.size, 0);
});

test('what the store fails of is told to all, and whoever comes again starts anew', async (t) => {
  let failing = false;
  const { reading, watch, follow } = await setUp(t, (store) => ({
    tasks: (query) => (failing ? Promise.reject(new StoreError('other', 'no page')) : store.tasks(query)),
  }));
  const followings = [follow('p'), follow('p')];
  for (const one of followings) await one.next();
  failing = true;
  const refused = followings.map((one) => assert.rejects(one.next(), { message: 'no page' }));
  await open(reading, 'build', 'p');
  await Promise.all(refused);
  await until(() => watch.size === 0);
  failing = false;
  assert.deepEqual(tasksOf(await follow('p').next()), ['build running']);
});

test('of very many tasks the newest are read, the others are counted', async (t) => {
  const { reading, follow } = await setUp(t);
  await Promise.all(Array.from({ length: 503 }, (_, at) => open(reading, `t${at}`, 'p')));
  const { tasks, leftOut, pipeline } = await follow('p').next();
  assert.deepEqual([tasks.length, leftOut, pipeline?.tasks, pipeline?.openRuns], [500, 3, 503, 503]);
});
