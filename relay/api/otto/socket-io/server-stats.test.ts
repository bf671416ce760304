import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerStats } from './server-stats.ts';

test('messages are counted over the last ten seconds', () => {
  let now = 5_000_000;
  const stats = new ServerStats(() => now);
  assert.equal(stats.messagesPerSecond, 0);
  stats.sent(30);
  now += 4000;
  stats.sent(20);
  assert.equal(stats.messagesPerSecond, 5);
  now += 5999;
  assert.equal(stats.messagesPerSecond, 5);
  now += 1;
  assert.equal(stats.messagesPerSecond, 2);
  now += 3_600_000;
  assert.equal(stats.messagesPerSecond, 0);
});

test('errors are a share of the answers of the last minute', () => {
  let now = 0;
  const stats = new ServerStats(() => now);
  assert.equal(stats.errorRate, 0);
  stats.answered('error');
  now += 30_000;
  for (let answer = 0; answer < 3; answer++) stats.answered('success');
  assert.equal(stats.errorRate, 0.25);
  now += 30_000;
  assert.equal(stats.errorRate, 0);
});
