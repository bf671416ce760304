import { afterEach, beforeEach, describe, test } from 'node:test';
import { Fixture, type TestStore } from './conformance-fixture.ts';
import { forgettingConformance } from './conformance-forget.ts';
import { handlesConformance } from './conformance-handles.ts';
import { mergingConformance } from './conformance-merge.ts';
import { pipelinesConformance } from './conformance-pipelines.ts';
import { compareWithModel } from './conformance-random.ts';
import { readingConformance } from './conformance-read.ts';
import { retentionConformance } from './conformance-retention.ts';
import { statusConformance } from './conformance-status.ts';
import { tasksConformance } from './conformance-tasks.ts';
import { walkingConformance } from './conformance-walk.ts';
import { writingConformance } from './conformance-write.ts';

/** What random actions found once, so that it stays found. Append only. */
const SEEDS = [1, 2, 3, 4];

/** Every sentence of the contract (store.ts) as a test. `create` makes an empty store for each. */
export function storeConformance(name: string, create: () => Promise<TestStore>): void {
  describe(`${name}: the store's contract`, () => {
    const on = new Fixture(create);
    beforeEach(() => on.begin());
    afterEach(() => on.end());

    writingConformance(on);
    statusConformance(on);
    tasksConformance(on);
    pipelinesConformance(on);
    readingConformance(on);
    walkingConformance(on);
    mergingConformance(on);
    forgettingConformance(on);
    retentionConformance(on);
    handlesConformance(on);

    for (const seed of [...SEEDS, Date.now() % 2 ** 31]) {
      test(`random actions do what they do to the model (seed ${seed})`, async () => {
        await compareWithModel(seed, on);
      });
    }
  });
}
