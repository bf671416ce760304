import assert from 'node:assert/strict';
import { encodeGap } from '../../shared/chunk.ts';
import { GAP_REASONS } from '../../shared/gap-reasons.ts';
import { encodeLines } from '../../shared/columns.ts';
import { END_REASONS } from '../../shared/wire.ts';
import type { Fixture } from './conformance-fixture.ts';
import { linesOf, openRun, runsOf } from './conformance-run.ts';
import { walkedFrom } from './conformance-walk.ts';
import { ModelState, ModelStore } from './model.ts';
import type { ExpirePolicy, OpenRun, Store, TaskRecord } from './store.ts';

const STEPS = 100;
const TASKS = ['alpha', 'beta', 'gamma'];
/** A task may move from one to another, and is in none before it says so. One is named as a task is. */
const PIPELINES = [undefined, 'p', 'gamma'];
const RARE = ['reopen', 'expire'];

interface KnownRun {
  hello: OpenRun;
  fences: number[];
  nextSeq: number;
}

/**
 * Does the same random things to a store, through two handles of which one mostly lags, and to the model, and compares
 * every answer, and after every step what can be read. `seed` decides everything but the names of runs.
 */
export async function compareWithModel(seed: number, on: Fixture): Promise<void> {
  const random = randomFrom(seed);
  const state = new ModelState();
  const handles = [await on.another(), await on.another()];
  const model = new ModelStore(state);
  const epochs = new Epochs();
  const runs: KnownRun[] = [];
  let now = 1000;

  /** Mostly the first handle; the other one knows of nothing that happened meanwhile. */
  const handle = (): Store => handles[random.below(5) === 0 ? 1 : 0];
  // A call draws nothing at random itself: it happens twice.
  const both = async <T>(call: (store: Store) => Promise<T>): Promise<T> => {
    const real = await call(handle());
    assert.deepEqual(epochs.plain(real, 'real'), epochs.plain(await call(model), 'model'));
    return real;
  };

  const actions: Record<string, () => Promise<unknown>> = {
    async open() {
      const known = random.below(3) === 0 ? random.pick(runs) : undefined;
      const pipelineId = random.pick(PIPELINES);
      const said = { now, startedAt: now - random.below(50), ...(pipelineId !== undefined && { pipelineId }) };
      const hello = known?.hello ?? openRun(random.pick(TASKS) ?? '', said);
      const forgotten = random.below(12) === 0;
      const opened = await both((store) => {
        const acked = forgotten ? { epoch: store.epoch(), ackedSeq: (known?.nextSeq ?? 0) + 5 } : {};
        return store.open({ ...hello, ...acked, now });
      });
      if (known) known.fences.push(opened.fence);
      else runs.push({ hello, fences: [opened.fence], nextSeq: 0 });
    },
    async append() {
      const run = random.pick(runs);
      if (!run) return;
      const firstSeq = Math.max(0, run.nextSeq + random.pick([0, 0, 0, 0, -1, -2, -4, 1, 3], 0));
      const append = { ...writer(run), bytes: randomChunk(run.hello.run, firstSeq), now };
      const outcome = await both((store) => store.append(append));
      if ('nextSeq' in outcome) run.nextSeq = outcome.nextSeq;
    },
    async end() {
      const run = random.pick(runs);
      if (!run) return;
      const [record] = (await model.runs(run.hello.task)).filter(({ run: id }) => id === run.hello.run);
      const { lines, textBytes: bytes, digest } = record;
      const nextSeq = record.nextSeq + random.pick([0, 0, 0, 1, -1], 0);
      const [reason, exitCode] = [random.pick(END_REASONS) ?? 'exited', random.pick([0, 0, 1, null], 0)];
      const counted = { nextSeq, lines, bytes, digest };
      const end = { ...writer(run), ...counted, reason, exitCode, signal: null, endedAt: now, now };
      await both((store) => store.end(end));
    },
    async seen() {
      const run = random.pick(runs);
      if (!run) return;
      const seen = { ...writer(run), nextSeq: random.below(40), now };
      await both((store) => store.seen(seen));
    },
    async markLost() {
      const before = now - random.below(200);
      await both(async (store) => (await store.markLost(before, now)).sort((a, b) => (a.run < b.run ? -1 : 1)));
    },
    async trim() {
      const task = random.pick(TASKS) ?? '';
      const through = random.below(((await model.head(task))?.nextLine ?? 1) + 3);
      await both((store) => store.trim(task, through));
    },
    async lastLineUntil() {
      const [task, time] = [random.pick(TASKS) ?? '', now - random.below(300)];
      await both((store) => store.lastLineUntil(task, time));
    },
    async annotate() {
      const [task, progress] = [random.pick(TASKS) ?? '', random.pick([null, 1, 2.5], 1)];
      await both((store) => store.annotate(task, { progress, message: `at ${now}` }, now));
    },
    async pin() {
      const [task, pinned] = [random.pick(TASKS) ?? '', random.below(3) === 0];
      await both((store) => store.pin(task, pinned));
    },
    // Which whole chunks go depends on how the store has put them together. So the model forgets the same lines, and
    // what is promised is checked by itself.
    async expire() {
      const policy: ExpirePolicy = random.pick<ExpirePolicy>(
        [{ maxTaskLines: 8 }, { maxAgeMs: 900 }, { maxTaskBytes: 1200 }],
        {},
      );
      const before = await model.tasks({ limit: 9 });
      await handle().expire(policy, now);
      for (const { task, pinned, trimmedLine } of before) {
        const after = await handles[0].task(task);
        assert.ok(after);
        if (pinned) assert.equal(after.trimmedLine, trimmedLine);
        else assert.ok(after.lines <= (policy.maxTaskLines ?? Infinity));
        if (!pinned) assert.ok(after.storedBytes <= (policy.maxTaskBytes ?? Infinity));
        await model.trim(task, after.trimmedLine);
      }
    },
    async settle() {
      await on.settle(handle());
    },
    async reopen() {
      await handles[0].close();
      handles[0] = await on.another();
    },
  };

  const writer = (run: KnownRun): { task: string; run: string; fence: number } => {
    const fence = random.below(8) === 0 ? random.pick(run.fences, 0) : (run.fences.at(-1) ?? 0);
    return { task: run.hello.task, run: run.hello.run, fence };
  };
  const randomChunk = (run: string, firstSeq: number): Buffer => {
    const count = 1 + random.below(4);
    if (random.below(6) === 0) {
      return encodeGap({ run, firstSeq, count, reason: random.pick(GAP_REASONS) ?? 'dropped', time: now });
    }
    const lines = Array.from({ length: count }, (_, index) => ({
      time: now + random.below(50),
      kind: random.below(3) | (random.below(4) << 2),
      // The text says its place, so that a reader's mistake shows.
      text: Buffer.from(`${run} ${firstSeq + index}`),
    }));
    return encodeLines(run, firstSeq, lines);
  };

  const weighted = [
    'append',
    'append',
    'append',
    'append',
    'append',
    'open',
    'open',
    'end',
    'seen',
    'markLost',
    'trim',
    'lastLineUntil',
    'annotate',
    'pin',
    'settle',
    'settle',
  ];
  for (let step = 0; step < STEPS; step++) {
    now += random.below(60);
    const name = random.pick(random.below(40) === 0 ? RARE : weighted, 'append');
    try {
      await actions[name]();
      await compareAll(handle(), model, random);
    } catch (error) {
      throw new Error(`seed ${seed}, step ${step} (${name}): ${(error as Error).message}`, { cause: error });
    }
  }
}

async function compareAll(store: Store, model: Store, random: Random): Promise<void> {
  assert.equal(await store.nextPosition(), await model.nextPosition());
  assert.equal(await store.change(), await model.change());
  assert.deepEqual(await store.pipelines({ limit: 9 }), await model.pipelines({ limit: 9 }));
  assert.deepEqual((await store.tasks({ limit: 9 })).map(unmerged), (await model.tasks({ limit: 9 })).map(unmerged));
  const task = random.pick(TASKS) ?? '';
  assert.deepEqual(await store.head(task), await model.head(task));
  assert.deepEqual(await store.runs(task), await model.runs(task));
  const places = [{ task, line: random.below(40) }, { position: random.below((await model.nextPosition()) + 2) }];
  for (const place of places) {
    assert.deepEqual(await linesOf(store, place), await linesOf(model, place));
    assert.deepEqual(await runsOf(store, place), await runsOf(model, place));
  }
  const from = random.below((await model.nextPosition()) + 2);
  for (const group of [undefined, random.pick([...TASKS, ...PIPELINES])]) {
    assert.deepEqual(await walkedFrom(store, from, group), await walkedFrom(model, from, group));
  }
}

/** A task without what depends on how its chunks were put together. */
function unmerged({ storedBytes, ...task }: TaskRecord): object {
  return { ...task, empty: storedBytes === 0 };
}

/** Epochs are told apart by the order in which they appear: store and model mint different ones. */
class Epochs {
  readonly #seen = { real: [] as string[], model: [] as string[] };

  plain(answer: unknown, whose: 'real' | 'model'): unknown {
    if (typeof answer !== 'object' || answer === null || !('epoch' in answer)) return answer;
    const seen = this.#seen[whose];
    const epoch = String(answer.epoch);
    if (!seen.includes(epoch)) seen.push(epoch);
    return { ...answer, epoch: seen.indexOf(epoch) };
  }
}

interface Random {
  /** 0 to n - 1 */
  below: (n: number) => number;
  pick: (<T>(items: readonly T[]) => T | undefined) & (<T>(items: readonly T[], fallback: T) => T);
}

/** Mulberry32. */
function randomFrom(seed: number): Random {
  let state = seed;
  const below = (n: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
  const pick = <T>(items: readonly T[], fallback?: T): T | undefined =>
    items.length === 0 ? fallback : items[below(items.length)];
  return { below, pick: pick as Random['pick'] };
}
