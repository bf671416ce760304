import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokenConnection, closedConnection, refusedUpgrade } from './uplink-refusal.ts';

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
    const { retry, problem } = refusedUpgrade(URL, status, body);
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
