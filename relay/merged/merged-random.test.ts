import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter, type Filter } from '../filter.ts';
import { Reader } from '../reader.ts';
import { openReading, TestRun } from '../reading.fixture.ts';
import { openSqliteStore, type SqliteStore } from '../store/sqlite.ts';
import { groupOf } from '../store/store.ts';
import { Tail } from '../tail.ts';
import { Follower, mergedOf, type MergedReading } from './merged.fixture.ts';

/** What random actions found once, so that it stays found. Append only. */
const SEEDS = [1, 2, 3];
const STEPS = 150;
const TASKS = [
  { task: 'alpha', pipelineId: 'p' },
  { task: 'beta', pipelineId: 'p' },
  { task: 'gamma' },
  { task: 'p' },
  { task: 'delta', pipelineId: 'q' },
] as const;

for (const seed of [...SEEDS, Date.now() % 2 ** 31]) {
  test(
    `random appends, trims, merges and restarts: every viewer gets every line once (seed ${seed})`,
    { timeout: 120_000 },
    async (t) => {
      await compareWithModel(seed, mergedOf(await openReading(t)));
    },
  );
}

/** A line as the model knows it; its place in the list is its position. */
interface Line {
  task: string;
  line: number;
  group: string;
  shown: string;
  gap: boolean;
  even: boolean;
}

interface Viewer {
  group: string | undefined;
  filter: Filter | undefined;
  from: number;
  seen: string[];
  follower: Follower;
}

async function compareWithModel(seed: number, first: MergedReading): Promise<void> {
  let on = first;
  const below = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)];
  const lines: Line[] = [];
  const trimmed = new Map<string, number>();
  const viewers: Viewer[] = [];
  let other = await openSqliteStore({ path: on.path });
  let runs: { run: TestRun; task: (typeof TASKS)[number] }[] = [];

  const follow = (viewer: Omit<Viewer, 'follower' | 'seen'>, from: number): Follower => {
    const { group, filter } = viewer;
    return new Follower(on.merged, { from, ...(group !== undefined && { group }), ...(filter && { filter }) });
  };
  const note = (run: TestRun, count: number, of: { texts?: string[] }): void => {
    const before = lines.filter(({ task }) => task === run.task).length;
    for (let index = 0; index < count; index++) {
      const text = of.texts?.[index];
      lines.push({
        task: run.task,
        line: before + index + 1,
        group: groupOf(TASKS.find(({ task }) => task === run.task) ?? { task: '' }),
        shown: `${lines.length} ${run.task} ${text ?? 'dropped'}`,
        gap: text === undefined,
        even: text?.endsWith('even') ?? false,
      });
    }
  };

  const leave = async ({ follower, seen }: Viewer): Promise<void> => {
    await follower.stop();
    seen.push(...follower.seen.splice(0));
  };

  const actions: Record<string, () => Promise<void>> = {
    async open() {
      const task = pick(TASKS);
      const pipelineId = 'pipelineId' in task ? task.pipelineId : undefined;
      const run =
        below(4) === 0
          ? await new TestRun({ store: other }, task.task).open({}, pipelineId === undefined ? {} : { pipelineId })
          : await on.open(task.task, pipelineId);
      runs.push({ run, task });
    },
    async write() {
      if (runs.length === 0) return;
      const { run } = pick(runs);
      const texts = Array.from({ length: 1 + below(4) }, () => `${below(1000)} ${below(2) === 0 ? 'even' : 'odd'}`);
      await run.write(...texts);
      note(run, texts.length, { texts });
    },
    async together() {
      // Appended at once, and told in whatever order the answers come: the store says which was first.
      const some = [...new Set([pick(runs), pick(runs), pick(runs)])].map(({ run }) => run);
      const from = lines.length;
      await Promise.all(some.map((run) => run.write('at once odd')));
      for (const { run } of await on.store.read({ from: { position: from }, maxBytes: 1e6 })) {
        note(some.find((one) => one.run === run) ?? some[0], 1, { texts: ['at once odd'] });
      }
    },
    async gap() {
      if (runs.length === 0) return;
      const { run } = pick(runs);
      const count = 1 + below(3);
      await run.gap(count);
      note(run, count, {});
    },
    async trim() {
      const { task } = pick(TASKS);
      const last = lines.filter((line) => line.task === task).length;
      const through = below(last + 1);
      const { trimmedLine } = await on.store.trim(task, through);
      on.tail.forget(task, trimmedLine);
      trimmed.set(task, trimmedLine);
    },
    async settle() {
      await (on.store as SqliteStore).settle();
    },
    join() {
      if (viewers.length >= 12) return Promise.resolve();
      const group = pick([undefined, 'p', 'q', 'gamma', 'nobody']);
      const filter = below(3) === 0 ? compileFilter({ text: ['even'] }) : undefined;
      const from = pick([0, lines.length, below(lines.length + 1)]);
      viewers.push({ group, filter, from, seen: [], follower: follow({ group, filter, from }, from) });
      return Promise.resolve();
    },
    async resume() {
      const viewer = pick(viewers);
      await leave(viewer);
      viewer.follower = follow(viewer, viewer.follower.nextPosition);
    },
    leave() {
      return leave(pick(viewers));
    },
    async restart() {
      for (const viewer of viewers) await leave(viewer);
      await on.store.close();
      await other.close();
      const store = await openSqliteStore({ path: on.path });
      other = await openSqliteStore({ path: on.path });
      const tail = new Tail({ store });
      on = mergedOf({ path: on.path, store, tail, reader: new Reader({ store, tail }) });
      runs = [];
      for (const viewer of viewers) viewer.follower = follow(viewer, viewer.follower.nextPosition);
    },
  };

  const names = [
    'write',
    'write',
    'write',
    'write',
    'together',
    'gap',
    'open',
    'trim',
    'settle',
    'join',
    'resume',
    'leave',
  ];
  try {
    await act();
  } finally {
    await other.close();
    await on.store.close();
  }

  async function act(): Promise<void> {
    await actions.open();
    await actions.join();
    for (let step = 0; step < STEPS; step++) {
      const name = below(50) === 0 ? 'restart' : pick(names);
      if (name === 'together' && runs.length === 0) continue;
      await actions[name]();
    }
    // Who was away while much was trimmed, and who comes only now.
    for (const viewer of viewers) {
      await leave(viewer);
      viewer.follower = follow(viewer, viewer.follower.nextPosition);
    }
    for (const group of [undefined, 'p', 'q', 'gamma']) {
      for (const from of [0, below(lines.length)]) {
        const viewer = { group, filter: undefined, from };
        viewers.push({ ...viewer, seen: [], follower: follow(viewer, from) });
      }
    }
    // One more line everywhere, which nobody trims: when that is there, all before it has come.
    const last = new Map<string, string>();
    for (const task of TASKS) {
      const run = await on.open(task.task, 'pipelineId' in task ? task.pipelineId : undefined);
      await run.write('the last even');
      note(run, 1, { texts: ['the last even'] });
      last.set(groupOf(task), lines.at(-1)?.shown ?? '');
      last.set('', lines.at(-1)?.shown ?? '');
    }
    for (const { follower, group, seen, filter, from } of viewers) {
      const end = last.get(group ?? '');
      if (end !== undefined) await follower.until((now) => now.includes(end));
      await follower.stop();
      seen.push(...follower.seen);
      check({ group, filter, from, seen }, { lines, trimmed });
    }
  }
}

/** What a viewer saw is what it should have: in order, each once, and what is missing is a gap that says so. */
function check(
  { group, filter, from, seen }: Omit<Viewer, 'follower'>,
  { lines, trimmed }: { lines: readonly Line[]; trimmed: ReadonlyMap<string, number> },
): void {
  const isGone = ({ task, line }: Line): boolean => line <= (trimmed.get(task) ?? 0);
  const ofGroup = (line: Line): boolean => group === undefined || line.group === group;
  const covered = new Set<number>();
  const shown = new Set<number>();
  let next = from;
  for (const one of seen) {
    const gap = /^(\d+)-(\d+) (\S+) (\S+) (\d*)-(\d*)$/.exec(one);
    if (gap === null) {
      const position = Number.parseInt(one);
      assert.ok(position >= next, `${one} came behind ${next - 1}: ${seen.join('; ')}`);
      assert.equal(one, lines[position].shown);
      assert.ok(ofGroup(lines[position]));
      shown.add(position);
      next = position + 1;
      continue;
    }
    const [, first, last, task, reason, , toLine] = gap;
    assert.ok(Number(last) >= next, `${one} came behind ${next - 1}`);
    for (let position = Number(first); position <= Number(last); position++) {
      const line = lines[position];
      if (reason !== 'trimmed') {
        assert.ok(line.gap && line.task === task && ofGroup(line));
        shown.add(position);
      } else if (group === undefined) {
        assert.ok(isGone(line), `${one} covers what is there: ${line.shown}`);
        covered.add(position);
      } else if (line.task === task && line.line <= Number(toLine)) {
        assert.ok(isGone(line) && ofGroup(line));
        covered.add(position);
      }
    }
    next = Number(last) + 1;
  }
  for (let position = from; position < lines.length; position++) {
    const line = lines[position];
    const wanted = ofGroup(line) && (line.gap || filter === undefined || line.even);
    if (!wanted || shown.has(position)) continue;
    assert.ok(isGone(line) && covered.has(position), `${line.shown} is missing: ${seen.join('; ')}`);
  }
}

/** Mulberry32. */
function randomFrom(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
