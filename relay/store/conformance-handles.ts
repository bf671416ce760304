import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Fixture } from './conformance-fixture.ts';
import { linesOf, openRun, TestRun } from './conformance-run.ts';
import type { ReadsModule } from './store.ts';

/** What the contract says of closing, and of several handles on one store. */
export function handlesConformance(on: Fixture): void {
  describe('close', () => {
    test('finishes what was called', async () => {
      const run = await TestRun.open(on.store, 't');
      const calls = [run.lines('a'), run.lines('b'), run.seen(9)];
      await on.store.close();
      assert.equal((await Promise.all(calls)).length, 3);
      on.store = await on.another();
      assert.deepEqual(await on.all('t'), ['1 a', '2 b']);
    });

    test('ends waiting and every later call', async () => {
      const { signal } = new AbortController();
      const waits = [on.store.wait('t', { nextLine: 1, revision: 0 }, signal), on.store.waitAll(0, signal)];
      const refused = waits.map((wait) => assert.rejects(wait, { reason: 'closed' }));
      await on.store.close();
      await on.store.close();
      await Promise.all(refused);
      for (const call of [
        () => on.store.head('t'),
        () => on.store.open(openRun('t')),
        () => on.store.read({ from: { position: 0 }, maxBytes: 1 }),
        () => on.store.trim('t', 1),
        () => on.store.wait('t', { nextLine: 1, revision: 0 }, signal),
        () => on.store.waitAll(0, signal),
      ]) {
        await assert.rejects(call, { name: 'StoreError', reason: 'closed' });
      }
    });
  });

  describe('two handles', () => {
    test('see what the other did, and number together', async () => {
      const other = await on.another();
      const one = await TestRun.open(on.store, 't');
      const two = await TestRun.open(other, 't');
      await one.lines('a');
      await two.lines('b');
      await one.lines('c');
      assert.deepEqual(await on.all('t'), ['1 a', '2 b', '3 c']);
      assert.deepEqual(await linesOf(other, { task: 't', line: 1 }), await on.all('t'));
    });

    test('see the same as a reader elsewhere, if there can be one, at any time', async () => {
      const elsewhere = on.store.readsElsewhere();
      if (elsewhere === undefined) return;
      const { openReads } = (await import(elsewhere.module)) as ReadsModule;
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      const reads = openReads(structuredClone(elsewhere.data));
      assert.equal((await reads.read({ from: { task: 't', line: 1 }, maxBytes: 1e6 })).length, 1);
      await run.lines('b', 'c');
      await on.settle();
      await on.store.trim('t', 1);
      for (const from of [{ task: 't', line: 1 }, { position: 0 }]) {
        const read = { from, maxBytes: 1e6 };
        assert.deepEqual(await reads.read(read), await on.store.read(read));
      }
      assert.deepEqual(await reads.runs('t'), await on.store.runs('t'));
      assert.deepEqual(await reads.runs('t', []), []);
      reads.close();
    });

    test('fence each other', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      await (await on.another()).open(run.hello);
      assert.deepEqual(await run.append(run.chunk('b')), { outcome: 'fenced' });
    });

    test('take each other’s epoch', async () => {
      const other = await on.another();
      const opened = await other.open({ ...openRun('t'), epoch: other.epoch(), ackedSeq: 5 });
      await on.store.head('t');
      assert.equal(on.store.epoch(), opened.epoch);
    });

    test('that write at once lose and repeat nothing', async () => {
      const other = await on.another();
      const runs = [await TestRun.open(on.store, 't'), await TestRun.open(other, 't')];
      const each = Array.from({ length: 30 }, (_, index) => index);
      await Promise.all(runs.map(async (run) => Promise.all(each.map((index) => run.lines(`${run.run} ${index}`)))));
      const lines = await on.all('t');
      assert.equal(lines.length, 60);
      for (const { run } of runs) {
        const own = lines.filter((line) => line.includes(run)).map((line) => Number(line.split(' ').at(-1)));
        assert.deepEqual(own, each);
      }
    });
  });
}
