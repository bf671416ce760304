import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeGap } from '../../shared/chunk.ts';
import type { Fixture } from './conformance-fixture.ts';
import { TestRun, textsOf } from './conformance-run.ts';
import type { Store } from './store.ts';

/**
 * Every line that walking over a group, or over everything, brings from a position on, as "position task text"; of what
 * was trimmed of a group's task, its last line. Reads in small steps, and checks that each leads on.
 */
export async function walkedFrom(store: Store, position: number, group?: string): Promise<string[]> {
  const lines: string[] = [];
  for (let next = position; ;) {
    const walked = await store.walk({ position: next, maxBytes: 400, ...(group !== undefined && { group }) });
    for (const stored of walked.stored) {
      const { task, position: first, count } = stored;
      if (first + count <= next) throw new Error(`${first} came again, ${next} was expected`);
      if (first + count > walked.nextPosition) throw new Error(`${first} lies behind ${walked.nextPosition}`);
      const texts = textsOf(stored);
      for (let i = Math.max(0, next - first); i < count; i++) lines.push(`${first + i} ${task} ${texts(i)}`);
      next = first + count;
    }
    if (walked.nextPosition === next && walked.stored.length === 0) return lines;
    next = walked.nextPosition;
  }
}

/** What the contract says of walking over positions. */
export function walkingConformance(on: Fixture): void {
  describe('walk', () => {
    test('brings all tasks, or those of a group', async () => {
      const alone = await TestRun.open(on.store, 'alone');
      const one = await TestRun.open(on.store, 't', { pipelineId: 'p' });
      const two = await TestRun.open(on.store, 'u', { pipelineId: 'p' });
      await one.lines('a', 'b');
      await alone.lines('x');
      await two.lines('c');
      await one.gap(2, 'dropped');
      await alone.lines('y');
      const all = ['0 t a', '1 t b', '2 alone x', '3 u c', '4 t dropped', '5 t dropped', '6 alone y'];
      assert.deepEqual(await walkedFrom(on.store, 0), all);
      assert.deepEqual(await walkedFrom(on.store, 0, 'alone'), ['2 alone x', '6 alone y']);
      const ofPipeline = ['0 t a', '1 t b', '3 u c', '4 t dropped', '5 t dropped'];
      for (let from = 0; from < 8; from++) {
        const rest = ofPipeline.filter((line) => Number(line.split(' ')[0]) >= from);
        assert.deepEqual(await walkedFrom(on.store, from, 'p'), rest);
      }
      assert.deepEqual(await walkedFrom(on.store, 0, 't'), []);
      assert.deepEqual(await walkedFrom(on.store, 0, 'nobody'), []);
    });

    test('says how far it looked, and at the head that there is nothing', async () => {
      const run = await TestRun.open(on.store, 't');
      const other = await TestRun.open(on.store, 'u');
      assert.deepEqual(await on.store.walk({ position: 0, maxBytes: 1e6 }), { stored: [], nextPosition: 0 });
      await run.lines('a');
      await other.lines('x', 'y', 'z');
      const walked = async (position: number, group?: string): Promise<[number, number]> => {
        const read = await on.store.walk({ position, maxBytes: 1e6, ...(group !== undefined && { group }) });
        return [read.stored.length, read.nextPosition];
      };
      assert.deepEqual(await walked(0), [2, 4]);
      assert.deepEqual(await walked(0, 't'), [1, 4]);
      assert.deepEqual(await walked(1, 't'), [0, 4]);
      assert.deepEqual(await walked(4, 't'), [0, 4]);
      assert.deepEqual(await walked(9, 't'), [0, 9]);
      assert.deepEqual(await walked(4), [0, 4]);
      assert.deepEqual(await walked(9), [0, 9]);
    });

    test('a pipeline and a task without one that have the same id are one group', async () => {
      await (await TestRun.open(on.store, 'same')).lines('a');
      await (await TestRun.open(on.store, 'other', { pipelineId: 'same' })).lines('b');
      assert.deepEqual(await walkedFrom(on.store, 0, 'same'), ['0 same a', '1 other b']);
      assert.deepEqual(await walkedFrom(on.store, 0, 'other'), []);
    });

    test('a task whose pipeline changes takes all of its lines along', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      assert.deepEqual(await walkedFrom(on.store, 0, 't'), ['0 t a']);
      await (await TestRun.open(on.store, 't', { pipelineId: 'p' })).lines('b');
      assert.deepEqual(await walkedFrom(on.store, 0, 'p'), ['0 t a', '1 t b']);
      assert.deepEqual(await walkedFrom(on.store, 0, 't'), []);
      await (await TestRun.open(on.store, 't', { pipelineId: 'q' })).lines('c');
      assert.deepEqual(await walkedFrom(on.store, 0, 'q'), ['0 t a', '1 t b', '2 t c']);
      assert.deepEqual(await walkedFrom(on.store, 0, 'p'), []);
    });

    test('brings what was merged as it was appended', async () => {
      const runs = await Promise.all(['t', 'u'].map((task) => TestRun.open(on.store, task, { pipelineId: 'p' })));
      const alone = await TestRun.open(on.store, 'alone');
      for (let i = 0; i < 20; i++) for (const run of [...runs, alone]) await run.lines(`line ${i}`);
      const before = await Promise.all([undefined, 'p', 'alone'].map((group) => walkedFrom(on.store, 0, group)));
      assert.deepEqual(
        before.map(({ length }) => length),
        [60, 40, 20],
      );
      await on.settle();
      for (const [index, group] of [undefined, 'p', 'alone'].entries()) {
        for (const from of [0, 1, 17, 58]) {
          const rest = before[index].filter((line) => Number(line.split(' ')[0]) >= from);
          assert.deepEqual(await walkedFrom(on.store, from, group), rest);
        }
      }
    });

    test('of a group, says once for each task what was trimmed, where its last line was', async () => {
      const runs = await Promise.all(['t', 'u'].map((task) => TestRun.open(on.store, task, { pipelineId: 'p' })));
      for (const text of ['a', 'b', 'c']) for (const run of runs) await run.lines(text);
      await on.settle();
      await on.store.trim('t', 2);
      const gap = { kind: 'gap', task: 't', firstLine: 2, position: 2, count: 1, reason: 'trimmed' } as const;
      const { stored } = await on.store.walk({ position: 1, maxBytes: 1e6, group: 'p' });
      assert.deepEqual(
        stored.find(({ kind }) => kind === 'gap'),
        gap,
      );
      const rest = ['1 u a', '2 t trimmed', '3 u b', '4 t c', '5 u c'];
      for (let from = 1; from < 5; from++)
        assert.deepEqual(await walkedFrom(on.store, from, 'p'), rest.slice(from - 1));
      assert.deepEqual(
        await walkedFrom(on.store, 0),
        rest.filter((line) => !line.endsWith('trimmed')),
      );
      await on.store.trim('t', 3);
      await on.store.trim('u', 3);
      assert.deepEqual(await walkedFrom(on.store, 0, 'p'), ['4 t trimmed', '5 u trimmed']);
      assert.deepEqual(await on.store.walk({ position: 2, maxBytes: 1e6 }), { stored: [], nextPosition: 6 });
    });

    test('brings a group of very many tasks', async () => {
      const runs = await Promise.all(
        Array.from({ length: 90 }, (_, index) =>
          TestRun.open(on.store, `t${index}`, index % 10 === 0 ? {} : { pipelineId: 'p' }),
        ),
      );
      for (let i = 0; i < 6; i++) {
        await Promise.all(runs.map((run, index) => run.lines(...[`a${i}`, `b${i}`, `c${i}`].slice(index % 3))));
        if (i === 3) await on.settle();
      }
      for (const index of [1, 10, 50, 89]) await on.store.trim(`t${index}`, 5);
      const all = await walkedFrom(on.store, 0);
      for (const from of [0, 1, 2, 333, 700, 1078]) {
        const found = await walkedFrom(on.store, from, 'p');
        const isGroups = (line: string): boolean => Number(line.split(' ')[1].slice(1)) % 10 !== 0;
        const rest = all.filter((line) => Number.parseInt(line) >= from && isGroups(line));
        assert.deepEqual(
          found.filter((line) => !line.endsWith('trimmed')),
          rest,
        );
        if (from === 0) assert.equal(found.length, rest.length + 2);
      }
    });

    test('passes over what lies ahead of a group of very many tasks, however much it is', async () => {
      const other = await TestRun.open(on.store, 'other');
      const runs = await Promise.all(
        Array.from({ length: 90 }, (_, index) => TestRun.open(on.store, `t${index}`, { pipelineId: 'p' })),
      );
      const many = 40_000_000;
      const gap = encodeGap({ run: other.run, firstSeq: 0, count: many, reason: 'dropped', time: 1 });
      assert.equal((await other.append(gap)).outcome, 'stored');
      for (const run of runs) await run.lines('a');
      let walks = 0;
      for (let position = 0; position < many; walks++) {
        ({ nextPosition: position } = await on.store.walk({ position, maxBytes: 1e6, group: 'p' }));
      }
      assert.ok(walks < 3, `${walks} walks`);
      const expected = runs.map((_, index) => `${many + index} t${index} a`);
      assert.deepEqual(await walkedFrom(on.store, 0, 'p'), expected);
    });

    test('stops at maxBytes, but never before the first chunk, and goes on from there', async () => {
      const run = await TestRun.open(on.store, 't', { pipelineId: 'p' });
      const other = await TestRun.open(on.store, 'u');
      for (const text of ['a', 'b', 'c']) {
        await run.lines(text.repeat(500));
        await other.lines('x');
      }
      for (const [position, maxBytes, found] of [
        [0, 1, 1],
        [1, 1, 1],
        [0, 1100, 2],
        [0, 1e6, 3],
      ]) {
        const { stored, nextPosition } = await on.store.walk({ position, maxBytes, group: 'p' });
        assert.equal(stored.length, found);
        const next = await on.store.walk({ position: nextPosition, maxBytes: 1e6, group: 'p' });
        assert.equal(stored.length + next.stored.length, position === 0 ? 3 : 2);
      }
    });

    test('brings no bodies that are not wanted', async () => {
      const run = await TestRun.open(on.store, 't');
      for (const text of ['a', 'b']) await run.lines(text);
      await on.settle();
      for (const group of [undefined, 't']) {
        const walk = {
          position: 0,
          maxBytes: 1e6,
          wants: { headersOnly: true },
          ...(group !== undefined && { group }),
        };
        const { stored } = await on.store.walk(walk);
        assert.ok(stored.length > 0);
        for (const one of stored) assert.equal(one.kind === 'chunk' && one.body, undefined);
      }
    });
  });
}
