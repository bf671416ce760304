import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';
import { Round } from './uplink-round.ts';

/** Waits are the ceilings of the backoff: 100 ms, 200 ms, 400 ms, … */
function round(relays: number, maxAttempts?: number) {
  let now = 0;
  const backoff = new Backoff({ minMs: 100, maxMs: 10_000 }, () => 1);
  const tried = new Round({ relays, backoff, maxAttempts, clock: () => now });
  return {
    get relay() {
      return tried.relay;
    },
    get problem() {
      return tried.problem;
    },
    worked: () => tried.worked(),
    pass: (ms: number) => (now += ms),
    fails: (how: { retry?: boolean; everywhere?: boolean; retryAfterMs?: number; worked?: boolean } = {}) => {
      const { worked = false, retry = true, ...closing } = how;
      const waitMs = tried.failed({ problem: `${tried.relay} is gone`, retry, ...closing }, { worked });
      return waitMs === undefined ? 'stops' : `${waitMs} ms, then ${tried.relay}`;
    },
  };
}

test('each relay is tried at once, and a pause comes after all of them', () => {
  const relays = round(3);
  const steps = Array.from({ length: 7 }, () => relays.fails());
  assert.deepEqual(steps, [
    '0 ms, then 1',
    '0 ms, then 2',
    '100 ms, then 0',
    '0 ms, then 1',
    '0 ms, then 2',
    '200 ms, then 0',
    '0 ms, then 1',
  ]);
  assert.equal(relays.problem, '1 is gone; 2 is gone; 0 is gone');
});

test('the one that worked is tried first, and again when its connection breaks', () => {
  const relays = round(3);
  relays.fails();
  relays.worked();
  assert.equal(relays.fails({ worked: true }), '100 ms, then 1');
  assert.equal(relays.fails(), '0 ms, then 2');
  assert.equal(relays.fails(), '0 ms, then 0');
  assert.equal(relays.fails(), '200 ms, then 1');
});

test('it stops when no relay wants to be tried again, and not before', () => {
  const relays = round(2);
  assert.equal(relays.fails({ retry: false }), '0 ms, then 1');
  assert.equal(relays.fails(), '100 ms, then 0');
  assert.equal(relays.fails({ retry: false }), '0 ms, then 1');
  assert.equal(relays.fails({ retry: false }), 'stops');
});

test('what is about the run ends it, whatever other relays there are', () => {
  assert.equal(round(3).fails({ retry: false, everywhere: true }), 'stops');
});

test('so many rounds may fail as are allowed', () => {
  const relays = round(2, 1);
  const steps = Array.from({ length: 4 }, () => relays.fails());
  assert.deepEqual(steps, ['0 ms, then 1', '100 ms, then 0', '0 ms, then 1', 'stops']);
  assert.equal(round(1, 0).fails(), 'stops');
  assert.equal(round(1, 0).fails({ worked: true }), 'stops');
});

test('what a relay asks for counts instead of the backoff', () => {
  const relays = round(1);
  assert.equal(relays.fails({ retryAfterMs: 7000 }), '7000 ms, then 0');
  relays.pass(7000);
  assert.equal(relays.fails(), '200 ms, then 0');
  relays.worked();
  assert.equal(relays.fails({ worked: true, retryAfterMs: 1500 }), '1500 ms, then 0');
  assert.equal(round(1).fails({ retryAfterMs: 1e9 }), '300000 ms, then 0');
});

test('a relay that asked for time is passed over while there is another one', () => {
  const relays = round(2);
  assert.equal(relays.fails({ retryAfterMs: 1000 }), '0 ms, then 1');
  assert.equal(relays.fails({ retry: false }), '100 ms, then 1');
  relays.pass(100);
  assert.equal(relays.fails({ retryAfterMs: 5000 }), '900 ms, then 0');
  relays.pass(900);
  assert.equal(relays.fails(), '400 ms, then 0');
});
