import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeLines } from '../../shared/columns.ts';
import { KIND_MORE, kindOf, LEVELS, pairOf, SOURCES } from '../../shared/line.ts';
import type { Fixture } from './conformance-fixture.ts';
import { linesOf, runsOf, TestRun } from './conformance-run.ts';
import type { Stored, TaskRecord } from './store.ts';

/** A store may put its chunks together as it likes: nobody may see it by lines, numbers, positions, runs or counts. */
export function mergingConformance(on: Fixture): void {
  describe('what a store does in the background', () => {
    /** Two runs of one task and one of another by turns, lines of all kinds, gaps in between. */
    async function fill(): Promise<TestRun[]> {
      const runs = [
        await TestRun.open(on.store, 't'),
        await TestRun.open(on.store, 't'),
        await TestRun.open(on.store, 'u'),
      ];
      for (let i = 0; i < 90; i++) {
        const run = runs[(i * 7 + (i >> 3)) % 3];
        if (i % 29 === 28) {
          await run.gap(1 + (i % 3), 'dropped');
          continue;
        }
        const lines = Array.from({ length: 1 + (i % 4) }, (_, index) => ({
          time: 1000 + ((i * 37) % 50) + index,
          kind: kindOf(SOURCES[i % 3], LEVELS[(i + index) % 4]) | (i % 11 === 0 ? KIND_MORE : 0),
          text: Buffer.from(`${run.run} ${i}.${index} ${'ü\n'.repeat(i % 3)}`),
          ...(i % 5 === 0 && { metadata: JSON.stringify({ i, ü: index }) }),
        }));
        await run.append(encodeLines(run.run, run.next(lines.length), lines));
      }
      return runs;
    }

    test('changes no line, number, position, run or count', async () => {
      await fill();
      const look = async (): Promise<unknown[]> => [
        await on.all('t'),
        await on.all('u'),
        await linesOf(on.store, { position: 0 }),
        await runsOf(on.store, { task: 't', line: 1 }),
        await runsOf(on.store, { position: 0 }),
        (await on.store.tasks({ limit: 9 })).map(({ storedBytes: _, ...task }: TaskRecord) => task),
        await on.store.runs('t'),
        await on.store.head('t'),
        await on.store.nextPosition(),
      ];
      const before = await look();
      await on.settle();
      assert.deepEqual(await look(), before);
      await on.settle();
      assert.deepEqual(await look(), before);
    });

    test('leaves every place readable, by line and by position', async () => {
      await fill();
      const [byLine, byPosition] = [await on.all('t'), await linesOf(on.store, { position: 0 })];
      await on.settle();
      for (let line = 1; line <= byLine.length; line += 7) {
        assert.deepEqual(await linesOf(on.store, { task: 't', line }), byLine.slice(line - 1));
      }
      for (let position = 0; position < byPosition.length; position += 7) {
        assert.deepEqual(await linesOf(on.store, { position }), byPosition.slice(position));
      }
    });

    test('hands out by position only lines of one run that follow each other', async () => {
      await fill();
      await on.settle();
      const read = await on.store.read({ from: { position: 0 }, maxBytes: 1e9 });
      let next = 0;
      for (const stored of read) {
        assert.equal(stored.position, next);
        assert.equal('runs' in stored, false);
        next += stored.count;
      }
      assert.equal(next, await on.store.nextPosition());
    });

    test('counts in headers what is in bodies, so that nothing that is wanted is passed over', async () => {
      await fill();
      const wanted = pairOf(kindOf('stderr', 'ERROR'));
      const count = (stored: Stored[]): number =>
        stored.reduce(
          (sum, one) => sum + (one.kind === 'chunk' && one.body ? one.header.readUInt16LE(68 + 2 * wanted) : 0),
          0,
        );
      const read = async (): Promise<Stored[][]> => [
        await on.store.read({ from: { task: 't', line: 1 }, maxBytes: 1e9, wants: { pairs: 1 << wanted } }),
        await on.store.read({ from: { position: 0 }, maxBytes: 1e9, wants: { pairs: 1 << wanted } }),
      ];
      const before = (await read()).map(count);
      assert.ok(before.every((lines) => lines > 0));
      await on.settle();
      assert.deepEqual((await read()).map(count), before);
    });

    test('leaves what cannot be read as it is: a loss of exactly its lines', async () => {
      const run = await TestRun.open(on.store, 't');
      for (const text of ['a', 'b', 'broken', 'c', 'd']) {
        const chunk = run.chunk(text);
        if (text === 'broken') chunk[chunk.length - 1] ^= 0xff;
        await run.append(chunk);
      }
      await on.settle();
      const broken = await on.store.read({ from: { task: 't', line: 3 }, maxBytes: 1 });
      assert.deepEqual(
        broken.slice(0, 1).map(({ firstLine, count }) => [firstLine, count]),
        [[3, 1]],
      );
      for (const from of [1, 4]) {
        const texts = await linesOf(on.store, { task: 't', line: from }, { unreadable: '?' });
        assert.deepEqual(texts, ['1 a', '2 b', '3 ?', '4 c', '5 d'].slice(from - 1));
      }
      assert.deepEqual(await linesOf(on.store, { position: 0 }, { unreadable: '?' }), [
        '0 a',
        '1 b',
        '2 ?',
        '3 c',
        '4 d',
      ]);
    });

    test('lets writers go on, and late duplicates stay duplicates', async () => {
      const run = await TestRun.open(on.store, 't');
      const [first, second] = [run.chunk('a'), run.chunk('b')];
      await run.append(first);
      await run.append(second);
      await on.settle();
      assert.deepEqual(await run.append(first), { outcome: 'duplicate', nextSeq: 2 });
      assert.equal((await run.append(run.chunkFrom(1, 'b', 'c'))).outcome, 'stored');
      await on.settle();
      assert.deepEqual(await on.all('t'), ['1 a', '2 b', '3 c']);
    });

    test('is seen by other handles as little, whoever does it', async () => {
      await fill();
      const other = await on.another();
      const before = await linesOf(other, { position: 0 });
      await Promise.all([on.settle(), on.settle(other)]);
      assert.deepEqual(await linesOf(on.store, { position: 0 }), before);
      assert.deepEqual(await linesOf(other, { position: 0 }), before);
      assert.equal((await on.store.size()).chunks, (await other.size()).chunks);
    });

    test('beside appends and trims loses and repeats nothing', async () => {
      const runs = await Promise.all(['t', 't', 'u'].map((task) => TestRun.open(on.store, task)));
      for (let round = 0; round < 6; round++) {
        const appends = runs.flatMap((run, index) =>
          Array.from({ length: 25 }, (_, line) => run.lines(`${index} ${round * 25 + line}`)),
        );
        const trim = on.store.trim('t', round * 20);
        await Promise.all([...appends, trim, on.settle()]);
      }
      const lines = (await on.all('t')).map((line) => line.split(' '));
      assert.equal(lines.length, 300);
      assert.deepEqual(new Set(lines.slice(0, 100).map(([, text]) => text)), new Set(['trimmed']));
      for (const index of ['0', '1']) {
        const own = lines.slice(100).filter(([, text]) => text === index);
        const last = own.map(([, , number]) => Number(number));
        assert.deepEqual(
          last,
          Array.from(last, (_, place) => 150 - last.length + place),
        );
      }
      assert.equal((await on.all('u')).length, 150);
    });
  });
}
