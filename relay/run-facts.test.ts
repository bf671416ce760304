import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunFacts } from './run-facts.ts';
import type { RunRecord, Store } from './store/store.ts';

/** A store that knows the runs `r0`, `r1`, … of every task, and answers when it is told to. */
function setup(maxCharacters?: number): {
  facts: RunFacts;
  asked: { task: string; runs: readonly string[]; answer: () => void; fail: (error: Error) => void }[];
} {
  const asked: ReturnType<typeof setup>['asked'] = [];
  const runs: Store['runs'] = (task, only = []) =>
    new Promise((resolve, reject) => {
      const known = only.filter((run) => run.startsWith('r'));
      const records = known.map(
        (run) => ({ run, workerId: `${task}/${run}`, labels: { run } }) as unknown as RunRecord,
      );
      asked.push({ task, runs: only, answer: () => resolve(records), fail: reject });
    });
  return { facts: new RunFacts({ store: { runs }, ...(maxCharacters !== undefined && { maxCharacters }) }), asked };
}

test('what is known is not asked again, and other tasks’ runs of the same name are others', async () => {
  const { facts, asked } = setup();
  const first = facts.ensure('t', ['r0', 'r1']);
  asked[0].answer();
  await first;
  await facts.ensure('t', ['r1', 'r0', 'r1']);
  assert.deepEqual(facts.of('t', 'r1'), { workerId: 't/r1', labels: { run: 'r1' } });
  assert.equal(facts.of('u', 'r1'), undefined);
  const second = facts.ensure('u', ['r1']);
  asked[1].answer();
  await second;
  assert.equal(facts.of('u', 'r1')?.workerId, 'u/r1');
  assert.equal(asked.length, 2);
});

test('questions of one moment are shared, and only what is missing is asked', async () => {
  const { facts, asked } = setup();
  const waits = [facts.ensure('t', ['r0', 'r1']), facts.ensure('t', ['r1', 'r2']), facts.ensure('t', ['r0'])];
  assert.deepEqual(
    asked.map(({ runs }) => runs),
    [['r0', 'r1'], ['r2']],
  );
  for (const { answer } of asked) answer();
  await Promise.all(waits);
  assert.equal(facts.of('t', 'r2')?.workerId, 't/r2');
});

test('a run that the store does not know stays unknown, and is asked for again', async () => {
  const { facts, asked } = setup();
  for (const time of [0, 1]) {
    const wait = facts.ensure('t', ['nobody']);
    asked[time].answer();
    await wait;
    assert.equal(facts.of('t', 'nobody'), undefined);
  }
});

test('a question that fails is told to all who asked it, and asked anew', async () => {
  const { facts, asked } = setup();
  const waits = [facts.ensure('t', ['r0']), facts.ensure('t', ['r0'])];
  const refused = waits.map((wait) => assert.rejects(wait, { message: 'no disk' }));
  asked[0].fail(new Error('no disk'));
  await Promise.all(refused);
  const again = facts.ensure('t', ['r0']);
  asked[1].answer();
  await again;
  assert.equal(facts.of('t', 'r0')?.workerId, 't/r0');
});

test('what one question brings is complete, also while another one pushes it out', async () => {
  const { facts, asked } = setup(1);
  const many = Array.from({ length: 100 }, (_, at) => `r${at}`);
  const waits = [facts.lookUp('t', ['r0', 'r1']), facts.lookUp('u', many), facts.lookUp('t', ['r1', 'r2', 'gone'])];
  for (const { answer } of asked) answer();
  const known = (await Promise.all(waits)).map((found) => [...found.keys()].sort());
  assert.deepEqual(known, [['r0', 'r1'], many.toSorted(), ['r1', 'r2']]);
});

test('no more is kept than the bound says, but all that was asked for at once', async () => {
  // Room for two.
  const { facts, asked } = setup(250);
  const ensure = async (...runs: string[]): Promise<void> => {
    const wait = facts.ensure('t', runs);
    asked.at(-1)?.answer();
    await wait;
  };
  const known = (): string[] => ['r0', 'r1', 'r2', 'r3'].filter((run) => facts.of('t', run) !== undefined);
  await ensure('r0');
  await ensure('r1', 'r2', 'r3');
  assert.deepEqual(known(), ['r1', 'r2', 'r3']);
  await ensure('r1');
  assert.deepEqual(known(), ['r1', 'r3']);
});
