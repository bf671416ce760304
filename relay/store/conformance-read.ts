import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeLines } from '../../shared/columns.ts';
import { kindOf, pairOf, type Level, type Source } from '../../shared/line.ts';
import { type Fixture } from './conformance-fixture.ts';
import { linesOf, TestRun } from './conformance-run.ts';
import type { Wants } from './store.ts';

/** What the contract says of reading and of waiting. */
export function readingConformance(on: Fixture): void {
  describe('read', () => {
    test('starts at the chunk that holds the line', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a', 'b', 'c');
      await run.lines('d', 'e');
      for (const [line, expected] of [
        [-1, ['1 a', '2 b', '3 c', '4 d', '5 e']],
        [0, ['1 a', '2 b', '3 c', '4 d', '5 e']],
        [1, ['1 a', '2 b', '3 c', '4 d', '5 e']],
        [3, ['3 c', '4 d', '5 e']],
        [4, ['4 d', '5 e']],
        [5, ['5 e']],
      ] as const) {
        assert.deepEqual(await linesOf(on.store, { task: 't', line }), expected);
      }
    });

    test('at or past the head is empty, and so is an unknown task', async () => {
      await (await TestRun.open(on.store, 't')).lines('a');
      for (const from of [
        { task: 't', line: 2 },
        { task: 't', line: 99 },
        { task: 'nobody', line: 1 },
        { position: 1 },
      ]) {
        assert.deepEqual(await on.store.read({ from, maxBytes: 1e6 }), []);
      }
    });

    test('from a position goes over all tasks', async () => {
      const one = await TestRun.open(on.store, 't');
      const two = await TestRun.open(on.store, 'u');
      await one.lines('a', 'b');
      await two.lines('x');
      await one.lines('c');
      assert.deepEqual(await linesOf(on.store, { position: 0 }), ['0 a', '1 b', '2 x', '3 c']);
      assert.deepEqual(await linesOf(on.store, { position: 1 }), ['1 b', '2 x', '3 c']);
      assert.deepEqual(await linesOf(on.store, { position: 2 }), ['2 x', '3 c']);
    });

    test('stops at maxBytes, but never before the first chunk', async () => {
      const run = await TestRun.open(on.store, 't');
      for (const text of ['a', 'b', 'c', 'd']) await run.lines(text.repeat(500));
      const chunks = async (maxBytes: number): Promise<number> =>
        (await on.store.read({ from: { task: 't', line: 2 }, maxBytes })).length;
      assert.equal(await chunks(1), 1);
      assert.equal(await chunks(1100), 2);
      assert.equal(await chunks(1e6), 3);
    });

    const wanted: [string, Wants, string[]][] = [
      ['everything', {}, ['a', 'b', 'c']],
      ['a level of a source', { pairs: 1 << pairOf(kindOf('stderr', 'ERROR')) }, ['b']],
      [
        'several pairs',
        { pairs: (1 << pairOf(kindOf('stderr', 'ERROR'))) | (1 << pairOf(kindOf('stdout', 'INFO'))) },
        ['a', 'b'],
      ],
      ['no pair', { pairs: 0 }, []],
      ['times from, inclusive', { from: 2000 }, ['b', 'c']],
      ['times to, inclusive', { to: 2000 }, ['a', 'b']],
      ['headers only', { headersOnly: true }, []],
    ];
    for (const [what, wants, expected] of wanted) {
      test(`wanting ${what} brings the bodies of ${expected.join(', ') || 'none'}, and all headers`, async () => {
        const run = await TestRun.open(on.store, 't');
        for (const [text, source, level, time] of [
          ['a', 'stdout', 'INFO', 1000],
          ['b', 'stderr', 'ERROR', 2000],
          ['c', 'agent', 'DEBUG', 3000],
        ] as [string, Source, Level, number][]) {
          await run.append(
            encodeLines(run.run, run.next(1), [{ time, kind: kindOf(source, level), text: Buffer.from(text) }]),
          );
        }
        const read = await on.store.read({ from: { task: 't', line: 1 }, maxBytes: 1e6, wants });
        assert.deepEqual(
          read.map(({ kind, count }) => [kind, count]),
          new Array(3).fill(['chunk', 1]),
        );
        const bodies = read.flatMap((chunk) =>
          chunk.kind === 'chunk' && chunk.body ? [chunk.body.toString('latin1', 0, 1)] : [],
        );
        assert.deepEqual(bodies, expected);
      });
    }
  });

  describe('wait', () => {
    const never = new AbortController().signal;

    test('is over at once if the task is past that line, or its revision is newer', async () => {
      await (await TestRun.open(on.store, 't')).lines('a');
      const revision = (await on.store.head('t'))?.revision ?? 0;
      await on.store.wait('t', { nextLine: 1, revision }, never);
      await on.store.wait('t', { nextLine: 99, revision: revision - 1 }, never);
      await on.store.waitAll(0, never);
    });

    test('ends with an append, a status, a task that comes to be', async () => {
      const created = on.store.wait('t', { nextLine: 1, revision: 0 }, never);
      const run = await TestRun.open(on.store, 't');
      await created;
      const { revision = 0 } = (await on.store.head('t')) ?? {};
      const appended = on.store.wait('t', { nextLine: 1, revision }, never);
      const anywhere = on.store.waitAll(0, never);
      await run.lines('a');
      await Promise.all([appended, anywhere]);
      const ended = on.store.wait('t', { nextLine: 2, revision }, never);
      await run.end();
      await ended;
    });

    test('wakes whoever waits on another handle of the store', async () => {
      const other = await on.another();
      const created = other.wait('t', { nextLine: 1, revision: 0 }, never);
      const run = await TestRun.open(on.store, 't');
      await created;
      const { revision = 0 } = (await other.head('t')) ?? {};
      const waits = [other.wait('t', { nextLine: 1, revision }, never), other.waitAll(0, never)];
      await run.lines('a');
      await Promise.all(waits);
      assert.deepEqual(await linesOf(other, { task: 't', line: 1 }), ['1 a']);
    });

    test('wakes after whoever appended', async () => {
      const run = await TestRun.open(on.store, 't');
      const { revision = 0 } = (await on.store.head('t')) ?? {};
      const order: string[] = [];
      const woken = on.store.wait('t', { nextLine: 1, revision }, never).then(() => order.push('reader'));
      await run.lines('a');
      order.push('writer');
      await woken;
      assert.deepEqual(order, ['writer', 'reader']);
    });

    test('goes on while nothing happens to that task', async () => {
      const run = await TestRun.open(on.store, 't');
      const other = await TestRun.open(on.store, 'u');
      const { revision = 0 } = (await on.store.head('t')) ?? {};
      let over = false;
      const waiting = on.store.wait('t', { nextLine: 2, revision }, never).then(() => (over = true));
      await run.lines('a');
      await other.lines('x');
      await on.store.head('t');
      await turn();
      assert.equal(over, false);
      await run.lines('b');
      await waiting;
    });

    test('rejects with the reason of its signal, before and after', async () => {
      const abort = new AbortController();
      const waits = [on.store.wait('t', { nextLine: 1, revision: 0 }, abort.signal), on.store.waitAll(9, abort.signal)];
      const reason = new Error('gone');
      abort.abort(reason);
      waits.push(on.store.wait('t', { nextLine: 1, revision: 0 }, abort.signal), on.store.waitAll(9, abort.signal));
      for (const wait of waits) await assert.rejects(wait, reason);
    });

    test('wakes thousands at once', async () => {
      const run = await TestRun.open(on.store, 't');
      const { revision = 0 } = (await on.store.head('t')) ?? {};
      const waits = Array.from({ length: 5000 }, () => on.store.wait('t', { nextLine: 1, revision }, never));
      await run.lines('a');
      await Promise.all(waits);
    });
  });
}
