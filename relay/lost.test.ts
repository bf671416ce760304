import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LostWatch } from './lost.ts';

function watch(answer: () => Promise<{ task: string; run: string }[]> = () => Promise.resolve([])) {
  const time = { now: 1_000_000 };
  const asked: number[] = [];
  const lost: string[] = [];
  const errors: unknown[] = [];
  const lostWatch = new LostWatch({
    lostAfterMs: 20_000,
    markLost: (before) => {
      asked.push(before);
      return answer();
    },
    onLost: ({ run }) => lost.push(run),
    onError: (error) => errors.push(error),
    now: () => time.now,
  });
  const pass = async (...steps: number[]): Promise<void> => {
    for (const ms of steps) {
      time.now += ms;
      await lostWatch.tick();
    }
  };
  return { pass, asked, lost, errors, time, lostWatch };
}

test('nobody is lost before the relay has been up for that long', async () => {
  const { pass, asked } = watch();
  await pass(5000, 5000, 5000);
  assert.deepEqual(asked, []);
  await pass(5000);
  assert.deepEqual(asked, [1_000_000]);
});

test('silence is counted back from now, and who is lost is named', async () => {
  const { pass, asked, lost } = watch(() => Promise.resolve([{ task: 't', run: 'r1' }]));
  await pass(5000, 5000, 5000, 5000, 5000);
  assert.deepEqual(asked, [1_000_000, 1_005_000]);
  assert.deepEqual(lost, ['r1', 'r1']);
});

const breaks: [string, number][] = [
  ['a machine that slept', 3_600_000],
  ['a clock set back', -500_000],
];
for (const [what, jump] of breaks) {
  test(`after ${what} everyone gets the whole time again`, async () => {
    const { pass, asked, time } = watch();
    await pass(5000, 5000, 5000, jump, 5000, 5000, 5000);
    assert.deepEqual(asked, []);
    await pass(5000);
    assert.deepEqual(asked, [time.now - 20_000]);
  });
}

test('a store that fails is reported, and asked again later', async () => {
  const { pass, asked, errors } = watch(() => Promise.reject(new Error('busy')));
  await pass(5000, 5000, 5000, 5000, 5000);
  assert.equal(errors.length, 2);
  assert.equal(asked.length, 2);
});

test('a stop waits for the call that is under way', async () => {
  const gate = Promise.withResolvers<{ task: string; run: string }[]>();
  const { pass, lost, lostWatch } = watch(() => gate.promise);
  await pass(5000, 5000, 5000);
  const ticking = pass(5000);
  const stopped = lostWatch.stop().then(() => assert.deepEqual(lost, ['r1']));
  gate.resolve([{ task: 't', run: 'r1' }]);
  await Promise.all([ticking, stopped]);
});
