import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failures } from './failures.ts';

const ADDRESS = '203.0.113.5';

test('after so many wrong tokens an address is refused, until some of a minute has passed', () => {
  let now = 1000;
  const failures = new Failures(3, () => now);
  for (let i = 0; i < 3; i++) {
    failures.check(ADDRESS);
    failures.failed(ADDRESS);
  }
  assert.throws(() => failures.check(ADDRESS), { code: 'RATE_LIMIT_EXCEEDED', retryAfterMs: 20_000 });
  failures.check('203.0.113.6');
  now += 19_999;
  assert.throws(() => failures.check(ADDRESS), { retryAfterMs: 1 });
  now += 1;
  failures.check(ADDRESS);
  failures.failed(ADDRESS);
  assert.throws(() => failures.check(ADDRESS));
});

test('a network of IPv6 counts as one, which anybody has', () => {
  const failures = new Failures(1, () => 0);
  failures.failed('2001:db8:1:2::1');
  assert.throws(() => failures.check('2001:db8:1:2:ffff::9'));
  failures.check('2001:db8:1:3::1');
});

test('this machine is exempt, and 0 is no limit', () => {
  const failures = new Failures(1, () => 0);
  const off = new Failures(0, () => 0);
  for (let i = 0; i < 100; i++) {
    for (const local of ['127.0.0.1', '::1', 'unix']) failures.failed(local);
    off.failed(ADDRESS);
  }
  for (const local of ['127.0.0.1', '::1', 'unix']) failures.check(local);
  off.check(ADDRESS);
});

test('addresses without number take no memory without end', () => {
  const failures = new Failures(1, () => 0);
  for (let i = 0; i < 20_000; i++) failures.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  failures.check('10.0.0.0');
  assert.throws(() => failures.check('10.0.78.31'));
});
