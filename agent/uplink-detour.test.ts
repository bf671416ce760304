import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Detour } from './uplink-detour.ts';

const BLOCKED = { retry: false, blocked: true, problem: 'HTTP 403' };
const BROKEN = { retry: true, problem: 'refused' };

function failures(detour: Detour, count: number): void {
  for (let i = 0; i < count; i++) assert.equal(detour.closed('websocket', BLOCKED).retry, true);
}

test('three blocked upgrades in a row lead to HTTP; other failures start anew', () => {
  const detour = new Detour('auto');
  failures(detour, 2);
  assert.deepEqual(detour.closed('websocket', BROKEN), BROKEN);
  failures(detour, 2);
  assert.equal(detour.http, false);
  failures(detour, 1);
  assert.equal(detour.http, true);
});

test('a WebSocket that opens makes everything before it forgotten', () => {
  const detour = new Detour('auto');
  failures(detour, 2);
  detour.opened('websocket');
  failures(detour, 2);
  assert.equal(detour.http, false);
});

test('HTTP that fails too is said with the reason for it, and the WebSocket is tried again', () => {
  const detour = new Detour('auto');
  failures(detour, 3);
  const closing = detour.closed('http', { retry: false, problem: 'HTTP 404' });
  assert.deepEqual(closing, { retry: false, problem: 'HTTP 403; and over HTTP: HTTP 404' });
  assert.equal(detour.http, false);
});

test('once HTTP has worked, the next connection tries a WebSocket once', () => {
  const detour = new Detour('auto');
  failures(detour, 3);
  detour.opened('http');
  assert.deepEqual(detour.closed('http', BROKEN), BROKEN);
  assert.equal(detour.http, false);
  failures(detour, 1);
  assert.equal(detour.http, true);
});

test('who has decided is obeyed', () => {
  const never = new Detour('never');
  for (let i = 0; i < 5; i++) assert.deepEqual(never.closed('websocket', BLOCKED), BLOCKED);
  assert.equal(never.http, false);
  const always = new Detour('always');
  assert.equal(always.http, true);
  assert.deepEqual(always.closed('http', BROKEN), BROKEN);
  assert.equal(always.http, true);
});
