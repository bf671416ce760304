import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokenConnection, closedConnection, refusedRequest, refusedUpgrade } from './uplink-refusal.ts';

const URL = 'ws://relay/ws/tasks';
const FROM_RELAY = '{"error":{"code":"X","message":"As the relay says."}}';

const upgrades: { status: number; body: string; goesOn: 'retries' | 'stops'; says: RegExp }[] = [
  {
    status: 401,
    body: FROM_RELAY,
    goesOn: 'stops',
    says: /wants a token.*: As the relay says: Give the relay a token/,
  },
  { status: 401, body: '', goesOn: 'stops', says: /wants a token that it knows \(HTTP 401\)$/ },
  { status: 403, body: '<html>', goesOn: 'stops', says: /does not allow/ },
  { status: 404, body: FROM_RELAY, goesOn: 'stops', says: /nothing at this path.*As the relay says/ },
  { status: 404, body: '<html>', goesOn: 'retries', says: /is the URL right/ },
  { status: 426, body: FROM_RELAY, goesOn: 'stops', says: /another protocol version/ },
  { status: 200, body: '<html>', goesOn: 'retries', says: /is no keruta relay/ },
  { status: 502, body: '', goesOn: 'retries', says: /answered HTTP 502/ },
  { status: 503, body: FROM_RELAY, goesOn: 'retries', says: /HTTP 503: As the relay says/ },
];
for (const { status, body, goesOn, says } of upgrades) {
  test(`HTTP ${status} with ${body || 'nothing'}: ${goesOn}`, () => {
    const { retry, problem } = refusedUpgrade(URL, { status, body });
    assert.equal(retry ? 'retries' : 'stops', goesOn);
    assert.match(problem, says);
    assert.match(problem, /^the relay at ws:\/\/relay\/ws\/tasks /);
  });
}

const closes: { code: number; goesOn: 'retries' | 'stops'; says: RegExp }[] = [
  { code: 1006, goesOn: 'retries', says: /the connection broke/ },
  { code: 1001, goesOn: 'retries', says: /closed the connection \(1001\): why/ },
  { code: 4001, goesOn: 'stops', says: /why: Give the relay a token/ },
  { code: 4005, goesOn: 'stops', says: /only one may write/ },
  { code: 4010, goesOn: 'stops', says: /Update the older one/ },
  { code: 4102, goesOn: 'retries', says: /\(4102\): why$/ },
];
for (const { code, goesOn, says } of closes) {
  test(`close code ${code}: ${goesOn}`, () => {
    const { retry, problem } = closedConnection(URL, code, 'why');
    assert.equal(retry ? 'retries' : 'stops', goesOn);
    assert.match(problem, says);
  });
}

const errors: [string, Error & { code?: string }, RegExp][] = [
  [
    'nobody listens',
    Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' }),
    /can't be reached \(connect ECONNREFUSED/,
  ],
  [
    'all of several addresses',
    Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }),
    /can't be reached \(ECONNREFUSED\)/,
  ],
  ['another subprotocol', new Error('Server sent an invalid subprotocol'), /does not speak keruta\.chunk\.v1/],
];
for (const [what, error, says] of errors) {
  test(`${what}: retries`, () => {
    const { retry, problem } = brokenConnection(URL, error);
    assert.equal(retry, true);
    assert.match(problem, says);
  });
}

test('what Retry-After says is waited for, in seconds or until a date; nonsense is not', () => {
  const after = (retryAfter: string) => refusedUpgrade(URL, { status: 503, body: FROM_RELAY, retryAfter }).retryAfterMs;
  assert.equal(after('7'), 7000);
  const untilTomorrow = after(new Date(Date.now() + 86_400_000).toUTCString()) ?? 0;
  assert.ok(untilTomorrow > 86_000_000 && untilTomorrow <= 86_400_000);
  for (const text of ['', '-1', '0', 'soon', '1e9', new Date(0).toUTCString()])
    assert.equal(after(text), undefined, text);
});

test('the errors of the relay mean what its table says', () => {
  const said = (code: string, status = 409) =>
    refusedRequest(URL, { status, body: JSON.stringify({ error: { code, message: 'So.' } }) });
  assert.deepEqual([said('FENCED').retry, said('FENCED').everywhere], [false, true]);
  assert.deepEqual([said('IDLE', 408).retry, said('IDLE', 408).everywhere], [true, false]);
  assert.deepEqual([said('INVALID_MESSAGE_FORMAT', 400).retry, said('AUTH_UNAVAILABLE', 503).retry], [false, true]);
});

test('what looks like a proxy that knows no WebSockets', () => {
  const upgrade = (status: number, body: string) => refusedUpgrade(URL, { status, body }).blocked;
  assert.equal(upgrade(403, '<html>'), true);
  assert.equal(upgrade(200, ''), true);
  assert.equal(upgrade(403, FROM_RELAY), false);
  assert.equal(upgrade(426, '{"error":{"code":"UPGRADE_REQUIRED","message":"So."}}'), true);
  assert.equal(upgrade(426, '{"error":{"code":"UNSUPPORTED_PROTOCOL","message":"So."}}'), false);
  const broken = (message: string, code: string) =>
    brokenConnection(URL, Object.assign(new Error(message), { code })).blocked;
  assert.equal(broken('socket hang up', 'ECONNRESET'), true);
  assert.equal(broken('Parse Error', 'HPE_INVALID_CONSTANT'), true);
  assert.equal(broken('connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'), false);
});
