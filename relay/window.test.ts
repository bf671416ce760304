import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WindowBudget, type Window } from './window.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

test('a lone connection gets a large window, many share a part of the budget, and none gets less than two full chunks', () => {
  const budget = new WindowBudget(64 * MIB);
  const sizes = Array.from({ length: 2000 }, () => budget.open(flow()).bytes);
  assert.equal(sizes[0], 4 * MIB);
  assert.equal(sizes[99], Math.floor((16 * MIB) / 100));
  assert.equal(sizes[1999], 64 * KIB);
});

test('a connection that sends more than its window is not read until half of it is committed', () => {
  const gate = flow();
  const window = new WindowBudget(64 * MIB).open(gate);
  for (let i = 0; i < 4; i++) window.take(MIB);
  assert.equal(gate.paused, true);
  window.release(MIB);
  assert.equal(gate.paused, true);
  window.release(MIB);
  assert.equal(gate.paused, true, 'two chunks and their overhead are more than half');
  window.release(MIB);
  assert.equal(gate.paused, false);
});

test('when the budget is used up a connection with nothing under way still brings one chunk', () => {
  const budget = new WindowBudget(MIB);
  const [first, second] = [flow(), flow()];
  const busy = budget.open(first);
  busy.take(MIB);
  const late = budget.open(second);
  assert.equal(second.paused, false);
  late.take(KIB);
  assert.equal(second.paused, true);
  late.release(KIB);
  assert.equal(second.paused, false, 'nothing of it is under way any more');
  assert.equal(first.paused, true);
});

test('what is under way when a connection closes still counts until it is settled', () => {
  const budget = new WindowBudget(MIB);
  const window = budget.open(flow());
  window.take(KIB);
  window.close();
  assert.ok(budget.used >= KIB);
  window.release(KIB);
  assert.equal(budget.used, 0);
});

test('whatever comes and settles: the room is kept, and nobody waits with nothing under way', () => {
  const step = fc.record({ who: fc.nat(7), bytes: fc.integer({ min: 92, max: MIB }), settle: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const total = 2 * MIB;
      const budget = new WindowBudget(total);
      const peers = Array.from({ length: 8 }, () => peer(budget));
      for (const { who, bytes, settle } of steps) {
        const { gate, window, underWay } = peers[who];
        const settled = settle ? underWay.shift() : undefined;
        if (settled !== undefined) window.release(settled);
        else if (!gate.paused) {
          underWay.push(bytes);
          window.take(bytes);
        }
        assert.ok(budget.used <= total + 8 * (MIB + 512));
        for (const other of peers) assert.ok(!other.gate.paused || other.underWay.length > 0);
      }
      for (const { window, underWay } of peers) for (const bytes of underWay) window.release(bytes);
      assert.equal(budget.used, 0);
      for (const { gate } of peers) assert.equal(gate.paused, false);
    }),
  );
});

function peer(budget: WindowBudget): { gate: ReturnType<typeof flow>; window: Window; underWay: number[] } {
  const gate = flow();
  return { gate, window: budget.open(gate), underWay: [] };
}

function flow() {
  return {
    paused: false,
    pause() {
      this.paused = true;
    },
    resume() {
      this.paused = false;
    },
  };
}
