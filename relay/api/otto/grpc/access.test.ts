import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Auth } from '../../../auth/auth.ts';
import { Principal, type Grant } from '../../../auth/principal.ts';
import { storedLines } from '../../../senders/senders.fixture.ts';
import { entry, openServer, type ClientGiven } from './grpc.fixture.ts';

const ADMIN = 'a-token-that-may-do-everything';

/** Keys by their text, which can be taken back. */
function authOf(grants: Record<string, Grant[]>, revoked = new Set<string>()): Auth {
  const find = (token: string): Principal | undefined =>
    token in grants && !revoked.has(token)
      ? new Principal(`key:${token}`, grants[token], { revoked: () => revoked.has(token) })
      : undefined;
  return new Auth({ tokens: [ADMIN], keys: { configured: true, find } });
}

const CALLERS: { what: string; given: ClientGiven; code: number; details: RegExp }[] = [
  { what: 'nobody', given: {}, code: 16, details: /A token is required/ },
  { what: 'a wrong token', given: { token: 'wrong' }, code: 16, details: /not known/ },
  { what: 'a wrong key', given: { apiKey: 'wrong' }, code: 16, details: /not known/ },
  { what: 'one who may only read', given: { token: 'reader' }, code: 7, details: /does not grant ingest/ },
];

for (const { what, given, code, details } of CALLERS) {
  test(`${what} is refused, for streams and for single calls`, async (t) => {
    const { client, reading } = await openServer(t, { auth: authOf({ reader: [{ scope: 'read' }] }) });
    const caller = client(given);
    const isRefused = (error: { code: number; details: string }): boolean =>
      error.code === code && details.test(error.details);
    await assert.rejects(caller.register('w', 't'), isRefused);
    await assert.rejects(caller.notify({ worker_id: 'w', task_id: 't', status: 'RUNNING' }), isRefused);
    const stream = caller.forward();
    stream.send(entry('a'));
    assert.ok(isRefused(await stream.ended));
    assert.equal(await reading.store.task('t'), undefined);
  });
}

for (const given of [{ token: ADMIN }, { apiKey: ADMIN }]) {
  test(`a token is taken as ${Object.keys(given)[0]}`, async (t) => {
    const { client } = await openServer(t, { auth: authOf({}) });
    assert.equal((await client(given).register('w', 't')).status, 'SUCCESS');
  });
}

test('entries of a task that the token is not for are dropped, and the others are stored', async (t) => {
  const auth = authOf({ mine: [{ scope: 'ingest', tasks: ['my-*'] }] });
  const { client, reading } = await openServer(t, { auth });
  const caller = client({ token: 'mine' });
  await assert.rejects(caller.register('w', 'yours'), { code: 7 });
  await assert.rejects(caller.notify({ worker_id: 'w', task_id: 'yours', status: 'FAILED' }), { code: 7 });
  const stream = caller.forward();
  stream.send(entry('a', { task_id: 'my-task' }), entry('b', { task_id: 'yours' }), entry('c', { task_id: 'my-task' }));
  const answers = await stream.answered(3);
  assert.deepEqual(
    answers.map(({ status, sequence }) => [status, sequence]),
    [
      ['ACK', 1],
      ['DROP', 2],
      ['ACK', 3],
    ],
  );
  assert.match(answers[1].message, /does not grant ingest on the task "yours"/);
  assert.deepEqual(await storedLines(reading, 'my-task'), ['1 a', '2 c']);
  assert.equal(await reading.store.task('yours'), undefined);
});

test('a token for tasks of a label may begin one only with that label', async (t) => {
  const auth = authOf({ web: [{ scope: 'ingest', labels: { team: 'web' } }] });
  const { client, reading } = await openServer(t, { auth });
  const stream = client({ token: 'web' }).forward();
  const pod = { pod_name: 'p', namespace: '', node_name: '', created_at: '' };
  stream.send(
    { ...entry('a', { task_id: 'ours' }), ...{ pod_metadata: { ...pod, labels: { team: 'web' } } } },
    { ...entry('b', { task_id: 'theirs' }), ...{ pod_metadata: { ...pod, labels: { team: 'ops' } } } },
  );
  assert.deepEqual(
    (await stream.answered(2)).map(({ status }) => status),
    ['ACK', 'DROP'],
  );
  assert.equal((await reading.store.task('ours'))?.lines, 1);
  assert.equal(await reading.store.task('theirs'), undefined);
});

test('a stream whose key is revoked ends, with what it has sent stored and answered', async (t) => {
  const revoked = new Set<string>();
  const { client, reading, sessions } = await openServer(t, { auth: authOf({ key: [{ scope: 'ingest' }] }, revoked) });
  const stream = client({ token: 'key' }).forward();
  stream.send(entry('a'));
  await stream.answered(1);
  revoked.add('key');
  sessions.sweep();
  const { code, details } = await stream.ended;
  assert.deepEqual([code, details], [16, 'The API key has been revoked.']);
  assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
});

test('one connection too many is RESOURCE_EXHAUSTED', async (t) => {
  const { client, api } = await openServer(t, { config: { maxConnections: 1 } });
  const first = client().forward();
  first.send(entry('a'));
  await first.answered(1);
  const second = client().forward();
  second.send(entry('b'));
  assert.equal((await second.ended).code, 8);
  assert.equal(api.connections(), 1);
});

test('a worker may send as soon as it has registered, although its run is not stored yet', async (t) => {
  const auth = authOf({ web: [{ scope: 'ingest', labels: { team: 'web' } }] });
  const { client, gate, reading } = await openServer(t, { auth });
  const caller = client({ token: 'web' });
  gate.close();
  const pod = { pod_name: 'p', namespace: '', node_name: '', created_at: '', labels: { team: 'web' } };
  assert.equal((await caller.register('w', 't', pod)).status, 'SUCCESS');
  const streams = [caller.stream(), caller.stream()];
  for (const stream of streams) stream.send(entry('a'), entry('b'), entry('c'));
  gate.open();
  const answers = (await Promise.all(streams.map((stream) => stream.answered(3)))).flat();
  assert.ok(answers.every(({ status }) => status === 'ACK'));
  // Streams of one session share its numbers.
  assert.deepEqual(answers.map(({ sequence }) => sequence).sort(), [1, 2, 3, 4, 5, 6]);
  assert.equal((await reading.store.task('t'))?.lines, 6);
});
