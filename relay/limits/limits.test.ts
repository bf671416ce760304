import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { Principal } from '../auth/principal.ts';
import { allowedLimits } from './limits.fixture.ts';
import { Limits, type Connecting, type LimitName, type LimitsConfig } from './limits.ts';

const A = '192.0.2.1';
const B = '192.0.2.2';
const CI = new Principal('key:ci', [{ scope: 'ingest' }]);

function limited(given: Partial<LimitsConfig>): { limits: Limits; hits: LimitName[]; at: (ms: number) => void } {
  let now = 0;
  const limits = new Limits(allowedLimits(given), () => now);
  const hits: LimitName[] = [];
  limits.onHit = (hit) => void hits.push(hit);
  return { limits, hits, at: (ms) => (now = ms) };
}

function refusal(act: () => unknown): { code: string; retryAfterMs: number | undefined } {
  try {
    act();
  } catch (error) {
    if (error instanceof KerutaError) return { code: error.code, retryAfterMs: error.retryAfterMs };
    throw error;
  }
  return { code: 'none', retryAfterMs: undefined };
}

const viewer = (address: string, task = 't'): Connecting => ({ address, kind: 'viewer', task });
const agent = (address: string, task = 't'): Connecting => ({ address, kind: 'agent', task });

/** What is done often enough reaches the limit; the last of it is refused, or not. */
const cases: { what: string; given: Partial<LimitsConfig>; act: (limits: Limits) => void; hits: LimitName[] }[] = [
  {
    what: 'all connections',
    given: { maxConnections: 2 },
    act: (limits) => [A, B, '192.0.2.3'].forEach((address) => limits.connect(viewer(address))),
    hits: ['connections'],
  },
  {
    what: 'the connections of an address',
    given: { addressConnections: 2 },
    act: (limits) => [A, A, A].forEach((address) => limits.connect(agent(address))),
    hits: ['address-connections'],
  },
  {
    what: 'the connections of two addresses',
    given: { addressConnections: 2 },
    act: (limits) => [A, A, B, B].forEach((address) => limits.connect(agent(address))),
    hits: [],
  },
  {
    what: 'the connections of a task',
    given: { taskConnections: 2 },
    act: (limits) => [A, B, '::1'].forEach((address) => limits.connect(viewer(address))),
    hits: ['task-connections'],
  },
  {
    what: "this machine's connections",
    given: { addressConnections: 1, addressConnectsPerMinute: 1 },
    act: (limits) =>
      ['127.0.0.1', '127.0.0.1', '::1', '::1', 'unix', 'unix'].forEach((at) => limits.connect(viewer(at))),
    hits: [],
  },
  {
    what: 'viewers a minute',
    given: { addressConnectsPerMinute: 2 },
    act: (limits) => [A, A, A].forEach((address) => limits.connect(viewer(address))),
    hits: ['connects'],
  },
  {
    what: 'agents that come back',
    given: { addressConnectsPerMinute: 2 },
    act: (limits) => [A, A, A].forEach((address) => limits.connect(agent(address))),
    hits: [],
  },
  {
    what: 'new runs a minute',
    given: { addressConnectsPerMinute: 2 },
    act: (limits) => [A, A, A].forEach((address) => limits.run(address)),
    hits: ['connects'],
  },
  {
    what: 'requests a minute from one network of IPv6',
    given: { addressRequestsPerMinute: 2 },
    act: (limits) => ['2001:db8::1', '2001:db8::2', '2001:db8::3:4'].forEach((address) => limits.request(address)),
    hits: ['requests'],
  },
  {
    what: 'requests a minute from three networks of IPv6',
    given: { addressRequestsPerMinute: 1 },
    act: (limits) =>
      ['2001:db8::1', '2001:db8:0:1::1', '2001:db8:0:2::1'].forEach((address) => limits.request(address)),
    hits: [],
  },
  {
    what: 'tasks of a token',
    given: { tokenTasks: 2 },
    act: (limits) => ['t1', 't2', 't1', 't3'].forEach((task) => limits.task(CI, task)),
    hits: ['token-tasks'],
  },
  {
    what: 'tasks of nobody in particular',
    given: { tokenTasks: 1 },
    act: (limits) => ['t1', 't2'].forEach((task) => limits.task(new Principal('anonymous', []), task)),
    hits: [],
  },
];

for (const { what, given, act, hits: expected } of cases) {
  test(`${what}: ${expected.join() || 'no limit'}`, () => {
    const { limits, hits } = limited(given);
    const { code } = refusal(() => act(limits));
    assert.deepEqual(hits, expected);
    if (expected.length === 0) assert.equal(code, 'none');
    else assert.equal(code, expected[0] === 'connections' ? 'WEBSOCKET_CONNECTION_FAILED' : 'RATE_LIMIT_EXCEEDED');
  });
}

test('a refusal says when to come back', () => {
  const { limits, at } = limited({ addressRequestsPerMinute: 60 });
  for (let i = 0; i < 60; i++) limits.request(A);
  assert.deepEqual(
    refusal(() => limits.request(A)),
    { code: 'RATE_LIMIT_EXCEEDED', retryAfterMs: 1000 },
  );
  at(1000);
  limits.request(A);
});

test('a connection that closes makes room, once', () => {
  const { limits } = limited({ maxConnections: 2, addressConnections: 2, taskConnections: 2 });
  const release = limits.connect(agent(A));
  limits.connect(agent(A));
  release();
  release();
  assert.equal(limits.connections, 1);
  limits.connect(agent(A));
  assert.equal(refusal(() => limits.connect(agent(A))).code, 'WEBSOCKET_CONNECTION_FAILED');
});

test('a refused connection takes no room', () => {
  const { limits } = limited({ maxConnections: 2, addressConnectsPerMinute: 1 });
  limits.connect(viewer(A));
  assert.equal(refusal(() => limits.connect(viewer(A))).code, 'RATE_LIMIT_EXCEEDED');
  assert.equal(limits.connections, 1);
});

const floods: { what: string; given: Partial<LimitsConfig>; address: string; holdMs: number }[] = [
  { what: 'lines of an address', given: { addressLinesPerSecond: 100 }, address: A, holdMs: 8010 },
  { what: 'bytes of an address', given: { addressBytesPerSecond: 1000 }, address: A, holdMs: 3001 },
  { what: 'lines of a task', given: { taskLinesPerSecond: 500 }, address: '::1', holdMs: 2 },
  { what: 'bytes of a task', given: { taskBytesPerSecond: 10_000 }, address: '::1', holdMs: 0 },
  { what: 'lines of this machine', given: { addressLinesPerSecond: 1 }, address: '::1', holdMs: 0 },
  {
    what: 'the strictest of several',
    given: { addressBytesPerSecond: 1000, addressLinesPerSecond: 100, taskLinesPerSecond: 500 },
    address: A,
    holdMs: 8010,
  },
];

for (const { what, given, address, holdMs } of floods) {
  test(`1,000 lines of 5 bytes, ${what}: held for ${holdMs} ms`, () => {
    const { limits, at } = limited(given);
    const from = { address, task: 't', principal: CI };
    assert.equal(limits.lines(from, 1000, 5000), holdMs);
    assert.equal(limits.lines(from, 0, 0), holdMs, 'asking costs nothing');
    at(holdMs);
    assert.equal(limits.lines(from, 0, 0), 0);
  });
}

test('lines that are refused are not counted, so whoever waits as told gets through', () => {
  const { limits, at } = limited({ addressLinesPerSecond: 10 });
  const from = { address: A, task: 't', principal: CI };
  limits.admitLines(from, 100, 1);
  for (let i = 0; i < 50; i++) {
    assert.deepEqual(
      refusal(() => limits.admitLines(from, 100, 1)),
      {
        code: 'RATE_LIMIT_EXCEEDED',
        retryAfterMs: 8100,
      },
    );
  }
  at(8100);
  limits.admitLines(from, 100, 1);
});

test('a task that a token has not written to for a day makes room', () => {
  const { limits, at } = limited({ tokenTasks: 1 });
  limits.task(CI, 't1');
  at(1000);
  assert.equal(refusal(() => limits.task(CI, 't2')).retryAfterMs, 86_399_000);
  at(86_400_000);
  limits.task(CI, 't2');
  assert.equal(refusal(() => limits.task(CI, 't1')).code, 'RATE_LIMIT_EXCEEDED');
});
