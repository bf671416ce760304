import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Piece } from '../store/pieces.ts';
import { PositionAudit } from './verify-positions.ts';

const piece = (position: number, count: number): Piece => ({ run: 1, seq: 0, position, count });

test('chunks whose pieces lie between each other share no position', () => {
  const found: number[] = [];
  const audit = new PositionAudit((position) => found.push(position));
  audit.add([piece(0, 2), piece(5, 1), piece(9, 1)]);
  audit.add([piece(2, 3), piece(7, 2)]);
  audit.add([piece(6, 1)]);
  assert.deepEqual([audit.finish(), found], [10, []]);
});

test('any position that two pieces have is found', () => {
  // Each position belongs to a chunk; chunks are added by their first position, and one position is given again.
  const owners = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(owners, fc.nat(), (given, again) => {
      const chunks = new Map<number, Piece[]>();
      given.forEach((owner, position) => {
        chunks.set(owner, [...(chunks.get(owner) ?? []), piece(position, 1)]);
      });
      const inOrder = [...chunks.values()].sort(([a], [b]) => a.position - b.position);
      const run = (all: readonly Piece[][]): number[] => {
        const found: number[] = [];
        const audit = new PositionAudit((position) => found.push(position));
        for (const pieces of all) audit.add(pieces);
        assert.equal(audit.finish(), given.length);
        return found;
      };
      assert.deepEqual(run(inOrder), []);
      const doubled = again % given.length;
      const more = [...inOrder, [piece(doubled, 1)]].sort(([a], [b]) => a.position - b.position);
      assert.deepEqual(run(more), [doubled]);
    }),
  );
});
