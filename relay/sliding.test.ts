import assert from 'node:assert/strict';
import test from 'node:test';
import { collectGarbage } from '../shared/profiling.ts';
import { Sliding } from './sliding.ts';

interface Item {
  place: number;
}

function openSliding(...places: number[]): Sliding<Item> {
  const sliding = new Sliding<Item>(({ place }) => place);
  for (const place of places) sliding.push({ place });
  return sliding;
}

const placesOf = (items: readonly Item[]): number[] => items.map(({ place }) => place);

for (const [place, most, expected] of [
  [0, 9, []],
  [1, 9, [1, 4, 9]],
  [3, 9, [1, 4, 9]],
  [4, 9, [4, 9]],
  [8, 1, [4]],
  [100, 9, [9]],
] as const) {
  test(`from place ${place}, at most ${most}: ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(placesOf(openSliding(1, 4, 9).from(place, most)), expected);
  });
}

test('stays a list of what was not taken out, however much is', () => {
  const sliding = openSliding();
  const model: number[] = [];
  for (let step = 0; step < 1000; step++) {
    // In turns it grows and shrinks, down to nothing.
    const [pushes, shifts] = step % 200 < 100 ? [3, 1] : [1, 4];
    for (let i = 0; i < pushes; i++) {
      sliding.push({ place: 3 * step + i });
      model.push(3 * step + i);
    }
    for (let i = 0; i < shifts; i++) assert.equal(sliding.shift()?.place, model.shift());
    assert.deepEqual(placesOf(sliding.all()), model);
    assert.deepEqual(
      [sliding.length, sliding.first?.place, sliding.last?.place],
      [model.length, model[0], model.at(-1)],
    );
    if (model.length > 0) assert.deepEqual(placesOf(sliding.from(model[0], 1000)), model);
  }
  for (const place of [5000, 5001]) sliding.push({ place });
  assert.deepEqual(placesOf(sliding.clear()), [...model, 5000, 5001]);
  assert.deepEqual(
    [sliding.length, sliding.first, sliding.last, sliding.shift()],
    [0, undefined, undefined, undefined],
  );
  assert.deepEqual(sliding.from(1, 1), []);
});

test('what was taken out is not kept from being collected', async () => {
  const sliding = openSliding();
  const taken = ((): WeakRef<Item>[] => {
    const items = Array.from({ length: 50 }, (_, place) => ({ place }));
    for (const item of items) sliding.push(item);
    for (let i = 0; i < 40; i++) sliding.shift();
    return items.map((item) => new WeakRef(item));
  })();
  // A WeakRef holds what it was made of until the turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  assert.equal(taken.filter((item) => item.deref() !== undefined).length, 10);
  assert.equal(sliding.length, 10);
});
