import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { openReading, type Reading } from '../reading.fixture.ts';
import { StoreError } from '../store/store.ts';
import type { Senders } from './senders.ts';
import { line, openSenders, SOMEBODY, storedLines, storeWith } from './senders.fixture.ts';
import { readStatus } from './task-status.ts';

const MINUTE = 60_000;

class Clock {
  now = Date.parse('2026-01-02T03:04:05.678Z');
}

interface Posting {
  reading: Reading;
  clock: Clock;
  senders: Senders;
  post: (...texts: string[]) => Promise<unknown>;
  say: (status: string) => Promise<void>;
  /** Lets time pass, and looks. */
  pass: (ms: number) => Promise<void>;
  status: () => Promise<string | undefined>;
  runs: () => Promise<string[]>;
  restart: () => Promise<Posting>;
}

async function setUp(t: TestContext): Promise<Posting> {
  return serve(t, await openReading(t), new Clock());
}

async function serve(t: TestContext, reading: Reading, clock: Clock): Promise<Posting> {
  const senders = await openSenders(t, reading, { now: () => clock.now, postIdleMs: 10 * MINUTE });
  return {
    ...{ reading, clock, senders },
    post: (...texts) => senders.posts.write('t', texts.map(line), SOMEBODY),
    say: (status) => senders.posts.status('t', readStatus({ status }), SOMEBODY),
    pass: async (ms) => {
      clock.now += ms;
      await senders.sweep();
    },
    status: async () => (await reading.store.head('t'))?.status,
    runs: async () =>
      (await reading.store.runs('t')).map(
        ({ status, reason, lines, verified }) => `${status} ${reason ?? '-'} ${lines} ${verified}`,
      ),
    restart: async () => {
      await senders.stop();
      return serve(t, reading, clock);
    },
  };
}

test('a run of posted lines lives on while it is quiet, and ends well when nothing comes for long', async (t) => {
  const { reading, clock, post, pass, status, runs } = await setUp(t);
  await post('a');
  for (let minute = 0; minute < 9; minute++) {
    await pass(MINUTE);
    assert.deepEqual(await reading.store.markLost(clock.now - MINUTE / 2, clock.now), []);
  }
  await post('b');
  await pass(9 * MINUTE);
  assert.equal(await status(), 'running');
  await pass(MINUTE);
  assert.deepEqual(await runs(), ['succeeded exited 2 true']);
  await post('c');
  assert.deepEqual(await runs(), ['succeeded exited 2 true', 'running - 1 null']);
});

test('a run that the store could not end is ended as soon as it can', async (t) => {
  let failing = true;
  const reading = await openReading(t);
  const store = storeWith(reading.store, {
    end: (end) => (failing ? Promise.reject(new StoreError('full', 'no room')) : reading.store.end(end)),
  });
  const { post, pass, runs } = await serve(t, { ...reading, store }, new Clock());
  await post('a');
  await pass(10 * MINUTE);
  await pass(MINUTE);
  assert.deepEqual(await runs(), ['running - 1 null']);
  failing = false;
  await pass(1000);
  while ((await runs())[0] !== 'succeeded exited 1 true');
});

test('who said that it runs has to say how it ends', async (t) => {
  const { post, say, pass, runs } = await setUp(t);
  await say('PROCESSING');
  await post('a');
  await pass(10 * MINUTE);
  assert.deepEqual(await runs(), ['failed agent-died 1 true']);
});

for (const [said, ended] of [
  ['COMPLETED', 'succeeded exited'],
  ['FAILED', 'failed exited'],
  ['CANCELLED', 'cancelled cancelled'],
]) {
  test(`a line that is posted just after ${said} is stored, and the task soon shows the same again`, async (t) => {
    const { reading, post, say, pass, status, runs } = await setUp(t);
    await post('a');
    await say(said);
    const before = await status();
    await post('late');
    await pass(2000);
    assert.equal(await status(), before);
    assert.deepEqual(await runs(), [`${ended} 1 true`, `${ended} 1 true`]);
    assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 late']);
  });
}

test('a line that is posted long after the end begins anew', async (t) => {
  const { post, say, pass, status } = await setUp(t);
  await post('a');
  await say('FAILED');
  await pass(10_000);
  await post('b');
  await pass(10_000);
  assert.equal(await status(), 'running');
});

test('what comes to its end at once is ended once', async (t) => {
  const { post, say, runs } = await setUp(t);
  await Promise.all([post('a'), post('b'), say('COMPLETED'), say('COMPLETED')]);
  const all = await runs();
  assert.ok(
    all.every((run) => run.startsWith('succeeded exited') && run.endsWith('true')),
    all.join(),
  );
});

test('a run that an earlier process has left goes on, and ends when it is quiet for long', async (t) => {
  const first = await setUp(t);
  await first.say('PROCESSING');
  await first.post('a');
  const second = await first.restart();
  await second.post('b');
  const third = await second.restart();
  assert.deepEqual(await third.runs(), ['running - 2 null']);
  await third.pass(10 * MINUTE);
  assert.deepEqual(await third.runs(), ['failed agent-died 2 true']);
});

test('a late line whose process is stopped ends as was said', async (t) => {
  const { post, say, restart } = await setUp(t);
  await post('a');
  await say('FAILED');
  await post('late');
  const next = await restart();
  assert.deepEqual(await next.runs(), ['failed exited 1 true', 'failed exited 1 true']);
});

test('a run has the labels of its task', async (t) => {
  const { reading, post } = await setUp(t);
  const open = {
    task: 't',
    run: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    workerId: 'w',
    agentVersion: '1',
    startedAt: 1,
    ackedSeq: 0,
    now: 1,
  };
  await reading.store.open({ ...open, labels: { team: 'web' } });
  await post('a');
  assert.deepEqual((await reading.store.task('t'))?.labels, { team: 'web' });
});
