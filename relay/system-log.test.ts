import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { openReading, until, type Reading } from './reading.fixture.ts';
import type { Senders } from './senders/senders.ts';
import { line, openSenders, SOMEBODY, storedLines, storeWith } from './senders/senders.fixture.ts';
import { readStatus } from './senders/task-status.ts';
import { SENT_BY } from './senders/sent-run.ts';
import { StoreError } from './store/store.ts';
import { agentLost, diskChanged, relayStarted, relayStopping } from './system-events.ts';
import { SystemLog } from './system-log.ts';
import { SYSTEM_TASK } from './system-task.ts';

interface Setup {
  reading: Reading;
  senders: Senders;
  systemLog: SystemLog;
  errors: unknown[];
  /** What the store says to appends from now on, if not what it would. */
  fail: (error: StoreError | undefined) => void;
  /** The task's lines when all that was said is stored. */
  lines: () => Promise<string[]>;
}

async function setUp(t: TestContext): Promise<Setup> {
  const reading = await openReading(t);
  let failure: StoreError | undefined;
  const append: Reading['store']['append'] = (append) =>
    failure === undefined ? reading.store.append(append) : Promise.reject(failure);
  const senders = await openSenders(t, { store: storeWith(reading.store, { append }), tail: reading.tail });
  const errors: unknown[] = [];
  const systemLog = new SystemLog({ senders, onError: (error) => errors.push(error), now: Date.now });
  systemLog.start();
  t.after(() => systemLog.stop());
  return {
    ...{ reading, senders, systemLog, errors },
    fail: (error) => (failure = error),
    lines: async () => {
      await systemLog.stop();
      return storedLines(reading, SYSTEM_TASK);
    },
  };
}

const unexpected = (error: unknown): void => assert.ifError(error);
const lost = (run: number) => agentLost({ task: 'build', run: `R${run}` });

test('what happens is a line with its kind and its details, in a run of the relay’s own', async (t) => {
  const { reading, systemLog, lines } = await setUp(t);
  systemLog.say(relayStarted({ version: '1.2.3', epoch: 'e' }));
  systemLog.say(diskChanged({ room: false, freeBytes: 1, problem: '1 MiB are free' }));
  systemLog.say(lost(1));
  assert.deepEqual(await lines(), [
    '1 The relay has started, version 1.2.3',
    '2 No room on the disk, agents are sent away: 1 MiB are free',
    '3 Lost the agent of task "build": it has been silent for too long',
  ]);
  const [run] = await reading.store.runs(SYSTEM_TASK);
  assert.deepEqual([run.workerId, run.status, run.verified], [SYSTEM_TASK, 'succeeded', true]);
  const { counts } = (await reading.store.task(SYSTEM_TASK)) ?? {};
  assert.deepEqual(counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
  const events: unknown[] = [];
  for await (const batch of reading.reader.follow(SYSTEM_TASK, { from: 1, untilHead: true, signal: t.signal })) {
    for (const event of batch.events) {
      if (event.type === 'lines') events.push(...(event.block.lines()?.metadata ?? []).map((json) => json ?? ''));
    }
  }
  assert.deepEqual(events, [
    '{"event":"relay-started","version":"1.2.3","epoch":"e"}',
    '{"event":"disk-full"}',
    '{"event":"agent-lost","task":"build","run":"R1"}',
  ]);
});

test('a thousand events at once are some lines, and a sum when the time has come', async (t) => {
  const { systemLog, lines } = await setUp(t);
  for (let run = 0; run < 1000; run++) systemLog.say(lost(run));
  systemLog.say(diskChanged({ room: true, freeBytes: 1 }));
  systemLog.tick();
  systemLog.say(relayStopping());
  const written = await lines();
  assert.equal(written.length, 22);
  assert.deepEqual(written.slice(-2), [
    '21 Also happened, without a line each: 980 × agent-lost, 1 × disk-room',
    '22 The relay is stopping',
  ]);
});

test('what the store does not take is counted, and told by the next line that it takes', async (t) => {
  const { systemLog, errors, fail, lines } = await setUp(t);
  fail(new StoreError('full', 'no room'));
  systemLog.say(lost(1));
  systemLog.say(diskChanged({ room: false, freeBytes: 0 }));
  await until(() => errors.length === 2);
  systemLog.tick();
  await until(() => errors.length === 3);
  fail(undefined);
  systemLog.say(diskChanged({ room: true, freeBytes: 9 }));
  assert.deepEqual(await lines(), [
    '1 There is room on the disk again: agents are let in',
    '2 Also happened, without a line each: 1 × agent-lost, 1 × disk-full',
  ]);
});

test('a store that takes nothing at the end keeps nobody from stopping', async (t) => {
  const { systemLog, fail, lines } = await setUp(t);
  fail(new StoreError('closed', 'closed'));
  systemLog.say(relayStopping());
  assert.deepEqual(await lines(), []);
});

test('nothing is noted before the start and after the end', async (t) => {
  const { reading, senders, systemLog, lines } = await setUp(t);
  await systemLog.stop();
  systemLog.say(lost(1));
  systemLog.tick();
  const never = new SystemLog({ senders, onError: unexpected, now: Date.now });
  never.say(lost(2));
  await never.stop();
  assert.deepEqual(await lines(), []);
  assert.equal(await reading.store.task(SYSTEM_TASK), undefined);
});

test('the run of a relay that was killed ends when the next one starts, which opens its own', async (t) => {
  const { reading, systemLog } = await setUp(t);
  systemLog.say(lost(1));
  const written = reading.store.wait(SYSTEM_TASK, { nextLine: 1, revision: 1 }, t.signal);
  await written;
  const senders = await openSenders(t, reading);
  const [run] = await reading.store.runs(SYSTEM_TASK);
  assert.deepEqual([run.status, run.reason], ['failed', 'agent-died']);
  const next = new SystemLog({ senders, onError: unexpected, now: Date.now });
  next.start();
  next.say(lost(2));
  await next.stop();
  const runs = await reading.store.runs(SYSTEM_TASK);
  assert.deepEqual(
    runs.map(({ status }) => status),
    ['failed', 'succeeded'],
  );
});

test('an idle relay writes nothing: its run needs no sign of life, and is still open', async (t) => {
  const reading = await openReading(t);
  const seen = mock.fn(reading.store.seen.bind(reading.store));
  const senders = await openSenders(
    t,
    { store: storeWith(reading.store, { seen }), tail: reading.tail },
    { seenEveryMs: 0 },
  );
  const systemLog = new SystemLog({ senders, onError: unexpected, now: Date.now });
  systemLog.start();
  systemLog.say(lost(1));
  while ((await storedLines(reading, SYSTEM_TASK)).length === 0);
  const change = await reading.store.change();
  systemLog.tick();
  await senders.sweep();
  await senders.sweep();
  assert.equal(seen.mock.callCount(), 0);
  assert.equal(await reading.store.change(), change);
  assert.equal((await reading.store.task(SYSTEM_TASK))?.openRuns, 1);
  await systemLog.stop();
});

test('nobody else writes the task, in whatever way', async (t) => {
  const { senders, reading } = await setUp(t);
  const refused = { name: 'KerutaError', code: 'FORBIDDEN', message: /^Only the relay writes the task "keruta-relay"/ };
  const status = readStatus({ status: 'PROCESSING' });
  for (const attempt of [
    () => senders.posts.write(SYSTEM_TASK, [line('a')], SOMEBODY),
    () => senders.posts.status(SYSTEM_TASK, status, SOMEBODY),
    () => senders.sender(SYSTEM_TASK, { caller: SOMEBODY, by: SENT_BY.socket }).write([line('a')]),
    () => senders.annotate(SYSTEM_TASK, { message: 'fine' }),
    () => senders.openRun(SYSTEM_TASK, { caller: SOMEBODY, by: SENT_BY.post }),
    () => senders.openRun('other', { caller: SOMEBODY, by: SENT_BY.grpc, pipelineId: SYSTEM_TASK }),
  ]) {
    await assert.rejects(attempt, refused);
  }
  assert.equal(await reading.store.task(SYSTEM_TASK), undefined);
});
