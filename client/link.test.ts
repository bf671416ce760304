import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Random } from '../test/random.ts';
import { createClient, type Client, type ClientOptions } from './client.ts';
import { ERRORS } from '../shared/errors.ts';
import { ClientError, PASSING_CODES } from './errors.ts';
import { ModelRelay } from './model-relay.fixture.ts';
import { log, ScriptedRelay, type Script } from './relay.fixture.ts';
import { tail, tailGroups, type TailEvent, type TailOptions, type TailTarget } from './tail.ts';

const BACKOFF = { minMs: 1, maxMs: 5 };

function clientOf(relay: ScriptedRelay | ModelRelay, options: Partial<ClientOptions> = {}): Client {
  return createClient({ url: 'http://relay', webSocket: relay.open, backoff: BACKOFF, idleMs: 0, ...options });
}

/** Types and numbers of what comes until the tail ends or throws. */
async function collect(relay: ScriptedRelay, options: TailOptions = {}): Promise<string[]> {
  const seen: string[] = [];
  try {
    for await (const event of tail(clientOf(relay), { task: 't' }, options)) seen.push(shown(event));
  } catch (error) {
    assert.ok(error instanceof ClientError);
    seen.push(`${error.code}: ${error.message}`);
  }
  return seen;
}

async function all(client: Client, target: TailTarget, options?: TailOptions): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of tail(client, target, options)) seen.push(shown(event));
  return seen;
}

function shown(event: TailEvent): string {
  return event.type === 'log' ? `log ${event.lineNumber}` : event.type;
}

const finish: Script = (socket, subscription) => socket.say({ type: 'unsubscribed', subscription });

test('it comes back behind the last line, to the place that a ping named, and behind a gap', async () => {
  const relay = new ScriptedRelay(
    (socket, subscription) => {
      socket.say({ type: 'subscribed', subscription, cursor: 'c1' });
      socket.lose();
    },
    (socket, subscription) => {
      socket.say([log(1), log(2)], subscription);
      socket.lose();
    },
    (socket, subscription) => {
      socket.say({ type: 'ping', subscription, cursor: 'c7' });
      socket.lose();
    },
    (socket, subscription) => {
      socket.say({ type: 'gap', fromLine: 7, toLine: 8, cursor: 'c9' }, subscription);
      socket.lose();
    },
    finish,
  );
  const seen = await collect(relay, { lines: 5, filter: { text: 'x' } });
  assert.deepEqual(seen, ['subscribed', 'lag', 'log 1', 'log 2', 'lag', 'lag', 'gap', 'lag']);
  const options = { q: 'x', batch: true, realtime: true };
  assert.deepEqual(
    relay.subscribes.map((message) => message.options),
    [
      { ...options, tail: 5 },
      { ...options, from: 'c1' },
      { ...options, after: 'id2' },
      { ...options, from: 'c7' },
      { ...options, from: 'c9' },
    ],
  );
});

test('an end that is said again after a reconnect is told once', async () => {
  const end = { type: 'end', cursor: 'c3', runs: 1 };
  const relay = new ScriptedRelay(
    (socket, subscription) => {
      socket.say(end, subscription);
      socket.lose();
    },
    (socket, subscription) => {
      socket.say({ type: 'subscribed', subscription, cursor: 'c3' });
      socket.say(end, subscription);
      socket.say({ ...end, runs: 2 }, subscription);
      finish(socket, subscription, { type: 'subscribe' });
    },
  );
  assert.deepEqual(await collect(relay), ['end', 'lag', 'subscribed', 'end']);
});

const REFUSAL = { type: 'error', code: 'INVALID_CURSOR', message: 'another store' };

test('when the store was replaced it goes on by line number, and says so', async () => {
  const relay = new ScriptedRelay(
    (socket, subscription) => {
      socket.say(log(41), subscription);
      socket.lose();
    },
    (socket, subscription) => socket.say({ ...REFUSAL, subscription }),
    (socket, subscription) => {
      socket.say(log(42), subscription);
      finish(socket, subscription, { type: 'subscribe' });
    },
  );
  assert.deepEqual(await collect(relay), ['log 41', 'lag', 'reset', 'log 42']);
  assert.equal(relay.subscribes[2].options?.from, 42);
  assert.equal(relay.sockets.length, 2);
});

for (const { what, options, from } of [
  { what: 'a live one', options: {}, from: 'now' },
  { what: 'one from the start', options: { from: 'start' }, from: 'start' },
  { what: 'one from a cursor', options: { after: 'id7' }, from: 'start' },
]) {
  test(`a tail to which nothing had come begins again when the store was replaced: ${what}`, async () => {
    const relay = new ScriptedRelay(
      (socket, subscription) => {
        socket.say({ type: 'subscribed', subscription, cursor: 'c1' });
        socket.lose();
      },
      (socket, subscription) => socket.say({ ...REFUSAL, subscription }),
      finish,
    );
    assert.deepEqual(await collect(relay, options), ['subscribed', 'lag', 'reset']);
    assert.equal(relay.subscribes[2].options?.from, from);
  });
}

test('a merged tail goes on with what comes from now on, and says so', async () => {
  const relay = new ScriptedRelay(
    (socket, subscription) => {
      socket.say(log(41), subscription);
      socket.lose();
    },
    (socket, subscription) => socket.say({ ...REFUSAL, subscription }),
    finish,
  );
  const seen: TailEvent[] = [];
  for await (const event of tail(clientOf(relay), { pipeline: 'p' }, { from: 'start' })) seen.push(event);
  assert.deepEqual(seen.at(-1), { type: 'reset', message: 'another store', from: 'now' });
  assert.deepEqual(
    relay.subscribes.map(({ pipelineId, options }) => [pipelineId, options?.from, options?.after]),
    [
      ['p', 'start', undefined],
      ['p', undefined, 'id41'],
      ['p', 'now', undefined],
    ],
  );
});

test('a cursor that the caller gave and the relay does not know is an error', async () => {
  const relay = new ScriptedRelay((socket, subscription) => socket.say({ ...REFUSAL, subscription }));
  assert.deepEqual(await collect(relay, { from: 'old' }), ['INVALID_CURSOR: another store']);
});

test('a refusal that will not change is thrown, with what is to be done', async () => {
  const relay = new ScriptedRelay((socket) =>
    socket.lose({ retry: false, code: 'FORBIDDEN', problem: 'not you', hint: 'go' }),
  );
  await assert.rejects(tail(clientOf(relay), { task: 't' }).next(), (error: ClientError) => {
    assert.deepEqual([error.code, error.message, error.hint, error.retry], ['FORBIDDEN', 'not you', 'go', false]);
    return true;
  });
});

test('one tail that is refused leaves the others alone', async () => {
  const relay = new ScriptedRelay(
    (socket, subscription) => socket.say({ type: 'error', subscription, code: 'FORBIDDEN', message: 'not yours' }),
    (socket, subscription) => {
      socket.say([log(1)], subscription);
      finish(socket, subscription, { type: 'subscribe' });
    },
  );
  const client = clientOf(relay);
  const refused = assert.rejects(all(client, { task: 'yours' }), { code: 'FORBIDDEN' });
  assert.deepEqual(await all(client, { task: 'mine' }), ['log 1']);
  await refused;
  assert.equal(relay.sockets.length, 1);
});

test('what a slow reader has not taken is bounded: the only tail stops the socket, where that can be done', async () => {
  const relay = new ScriptedRelay((socket, subscription) => socket.say([log(1, 'x'.repeat(3_000_000))], subscription));
  relay.pausable = true;
  const events = tailGroups(clientOf(relay), { task: 't' });
  await events.next();
  const [socket] = relay.sockets;
  assert.deepEqual([socket.paused, socket.subscribes.length], [true, 1]);
  const next = events.next();
  assert.equal(socket.paused, false);
  socket.say([log(2)], socket.subscribes[0].subscription);
  assert.deepEqual((await next).value?.map(shown), ['log 2']);
  await events.return();
});

test('what a slow reader has not taken is bounded: one of several tails leaves, and comes back for the rest', async () => {
  const big: Script = (socket, subscription) => {
    socket.say([log(1, 'x'.repeat(3_000_000))], subscription);
    // What is under way when it leaves.
    socket.say([log(2)], subscription);
  };
  const relay = new ScriptedRelay(
    () => undefined,
    big,
    (socket, subscription) => {
      socket.say([{ type: 'subscribed', subscription, cursor: 'c2' }]);
      socket.say([log(2)], subscription);
    },
  );
  relay.pausable = true;
  const client = clientOf(relay);
  const abort = new AbortController();
  const other = tailGroups(client, { task: 'other' }, { signal: abort.signal }).next();
  const slow = tailGroups(client, { task: 't' }, { from: 'start' });
  assert.deepEqual((await slow.next()).value?.map(shown), ['log 1']);
  const [socket] = relay.sockets;
  assert.equal(socket.paused, false);
  assert.deepEqual(socket.said.at(-1), { type: 'unsubscribe', subscription: socket.subscribes[1].subscription });
  assert.deepEqual((await slow.next()).value?.map(shown), ['log 2']);
  assert.equal(relay.subscribes[2].options?.after, 'id1');
  await slow.return();
  abort.abort();
  await assert.rejects(other, { name: 'AbortError' });
});

for (const seed of [1, 2, 3, 4, 5]) {
  test(`tails of every speed through cuts bring every line once and in order (seed ${seed})`, async () => {
    const dice = new Random(seed);
    const random = (): number => dice.below(2 ** 30) / 2 ** 30;
    const relay = new ModelRelay({ lineLength: 30_000 });
    const client = clientOf(relay, { random });
    const total = 1200;
    const tasks = ['a', 'a', 'b', 'c', 'd'];
    const seen = tasks.map(() => [] as number[]);
    let done = 0;
    const read = async (at: number): Promise<void> => {
      // The first ones are far slower than what comes.
      const lazy = at < 3 ? 40 : 1;
      for await (const group of tailGroups(client, { task: tasks[at] }, { from: 'start' })) {
        for (const event of group) if (event.type === 'log') seen[at].push(event.lineNumber);
        if (seen[at].at(-1) === total) break;
        for (let turns = Math.floor(random() * lazy); turns > 0; turns--) await turn();
      }
      done++;
    };
    const readers = tasks.map((_, at) => read(at));
    let written = 0;
    while (done < tasks.length) {
      const lines = Math.min(total - written, Math.floor(random() * 60));
      written += lines;
      for (const task of new Set(tasks)) relay.write(task, lines);
      relay.send(1 + Math.floor(random() * 150));
      if (random() < 0.02) relay.cut();
      await turn();
    }
    await Promise.all(readers);
    const all = Array.from({ length: total }, (_, i) => i + 1);
    for (const lines of seen) assert.deepEqual(lines, all);
    assert.ok(relay.connections > 1);
    // Each says so once when it is done; some had to leave before because they were too slow.
    assert.ok(relay.unsubscribes > tasks.length, `${relay.unsubscribes}`);
    client.close();
  });
}

test('an abort ends it, whether it waits for the relay or to try again', async () => {
  for (const script of [[], [(socket) => socket.lose()]] as Script[][]) {
    const abort = new AbortController();
    const relay = new ScriptedRelay(...script);
    const reason = new Error('enough');
    const client = clientOf(relay, { backoff: { minMs: 1e6, maxMs: 1e6 } });
    const ended = all(client, { task: 't' }, { signal: abort.signal });
    for (let i = 0; i < 5; i++) await turn();
    abort.abort(reason);
    await assert.rejects(ended, reason);
    assert.ok(relay.sockets.every((socket) => socket.closed));
  }
});

test('a relay that falls silent is left', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const relay = new ScriptedRelay(() => undefined, finish);
  const seen = collect(relay);
  for (let i = 0; i < 5; i++) await turn();
  t.mock.timers.tick(29_000);
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(relay.sockets.length, 1);
  assert.deepEqual(relay.sockets[0].said.at(-1), { type: 'ping' });
  t.mock.timers.tick(2000);
  assert.deepEqual(await seen, ['lag']);
});

for (const frame of ['', 'hello', '3', 'null', '[null]', '[{"type":7}]', '{"kind":"log"}']) {
  test(`a frame that is no message ends the connection: ${JSON.stringify(frame)}`, async () => {
    const relay = new ScriptedRelay((socket) => socket.events.message(frame), finish);
    assert.deepEqual(await collect(relay), ['lag']);
  });
}

test('messages that are not known are let pass', async () => {
  const relay = new ScriptedRelay((socket, subscription) => {
    socket.say([{ type: 'weather', subscription }, { type: 'weather' }], subscription);
    socket.say({ type: 'log' }, 'nobody');
    finish(socket, subscription, { type: 'subscribe' });
  });
  assert.deepEqual(await collect(relay), []);
});

test('a relay that says it will be back is waited for as long as it says', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const relay = new ScriptedRelay((socket) => {
    socket.say({ type: 'drain', retryAfterMs: 7000 });
    socket.lose();
  }, finish);
  const seen = collect(relay);
  for (let i = 0; i < 5; i++) await turn();
  t.mock.timers.tick(6999);
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(relay.sockets.length, 1);
  t.mock.timers.tick(1);
  assert.deepEqual(await seen, ['lag']);
});

test('a reader who takes nothing while the relay is away keeps one notice of that', async () => {
  const relay = new ScriptedRelay(
    ...Array.from({ length: 20 }, (): Script => (socket) => socket.lose()),
    (socket, subscription) => socket.say([log(1)], subscription),
  );
  const events = tailGroups(clientOf(relay), { task: 't' });
  const first = await events.next();
  while (relay.subscribes.length < 21) await turn();
  for (let i = 0; i < 5; i++) await turn();
  const second = await events.next();
  assert.deepEqual(
    [first, second].map(({ value }) => (value as TailEvent[]).map(shown)),
    [['lag'], ['lag', 'log 1']],
  );
  assert.equal((second.value as { attempt: number }[])[0].attempt, 20);
  await events.return();
});

test('the socket is opened by the first tail, shared, and closed some time after the last one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const relay = new ScriptedRelay();
  const client = clientOf(relay, { idleMs: 500 });
  const tails = ['a', 'b'].map((task) => tailGroups(client, { task }));
  assert.equal(relay.sockets.length, 0);
  const waiting = tails.map((events) => events.next());
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(relay.sockets.length, 1);
  const [socket] = relay.sockets;
  for (const { subscription } of socket.subscribes) socket.say({ type: 'subscribed', subscription, cursor: 'c' });
  await Promise.all(waiting);
  await Promise.all(tails.map((events) => events.return()));
  t.mock.timers.tick(499);
  assert.equal(socket.closed, false);
  // A tail that comes meanwhile finds it open.
  const late = tailGroups(client, { task: 'c' });
  const first = late.next();
  t.mock.timers.tick(5000);
  socket.say({ type: 'subscribed', subscription: socket.subscribes[2].subscription, cursor: 'c' });
  await first;
  await late.return();
  t.mock.timers.tick(500);
  assert.equal(socket.closed, true);
  assert.equal(relay.sockets.length, 1);
});

test('a client that is closed ends its tails with an error, and begins none', async () => {
  const relay = new ScriptedRelay((socket, subscription) => socket.say([log(1)], subscription));
  const client = clientOf(relay);
  const events = tail(client, { task: 't' });
  await events.next();
  const next = events.next();
  client.close();
  await assert.rejects(next, { code: 'CLOSED' });
  await assert.rejects(tail(client, { task: 't' }).next(), { code: 'CLOSED' });
  assert.equal(relay.sockets[0].closed, true);
});

test('nothing but one place to begin can be given', async () => {
  const client = clientOf(new ScriptedRelay());
  await assert.rejects(tail(client, { task: 't' }, { from: 3, lines: 4 }).next(), { code: 'INVALID_INPUT' });
});

test('a token that is a function is asked for each connection, and once more when it was refused', async () => {
  const asked: (string | undefined)[] = [];
  const refuse: Script = (socket) => socket.say({ type: 'error', code: 'UNAUTHORIZED', message: 'wrong', hint: 'h' });
  const relay = new ScriptedRelay(
    (socket, subscription) => {
      socket.say({ type: 'subscribed', subscription, cursor: 'c' });
      socket.lose();
    },
    refuse,
    (socket, subscription) => {
      socket.say({ type: 'subscribed', subscription, cursor: 'c' });
      socket.lose();
    },
    refuse,
    refuse,
  );
  const client = clientOf(relay, { token: (rejected) => `token ${asked.push(rejected)}` });
  const seen: string[] = [];
  await assert.rejects(
    async () => {
      for await (const event of tail(client, { task: 't' })) seen.push(event.type);
    },
    { code: 'UNAUTHORIZED', message: 'wrong', hint: 'h' },
  );
  assert.deepEqual(seen, ['subscribed', 'lag', 'subscribed', 'lag']);
  assert.deepEqual(asked, [undefined, undefined, 'token 2', undefined, 'token 4']);
  assert.deepEqual(
    relay.sockets.map((socket) => socket.said[0]),
    [1, 2, 3, 4, 5].map((n) => ({ type: 'auth', token: `token ${n}` })),
  );
});

test('a function that has no token is asked once more, and not for ever', async () => {
  const refuse: Script = (socket) => socket.say({ type: 'error', code: 'UNAUTHORIZED', message: 'who are you' });
  const relay = new ScriptedRelay(...Array.from({ length: 10 }, () => refuse));
  const none = (() => undefined) as unknown as () => string;
  await assert.rejects(tail(clientOf(relay, { token: none }), { task: 't' }).next(), { code: 'UNAUTHORIZED' });
  assert.equal(relay.sockets.length, 2);
});

test('a token that is refused and is no function is an error', async () => {
  const relay = new ScriptedRelay((socket) => socket.say({ type: 'error', code: 'UNAUTHORIZED', message: 'wrong' }));
  await assert.rejects(tail(clientOf(relay, { token: 'bad' }), { task: 't' }).next(), { code: 'UNAUTHORIZED' });
});

test('a token that can not be had is asked for again later', async () => {
  let asked = 0;
  const token = (): Promise<string> =>
    ++asked < 3 ? Promise.reject(new Error('no network')) : Promise.resolve('good');
  const seen: TailEvent[] = [];
  for await (const event of tail(clientOf(new ScriptedRelay(finish), { token }), { task: 't' })) seen.push(event);
  assert.deepEqual(
    seen.map((event) => event.type === 'lag' && event.problem),
    Array.from({ length: 2 }, () => 'there is no token: Error: no network'),
  );
});

for (const url of ['', 'relay', 'ftp://relay', '//relay']) {
  test(`a url that is none is refused: ${JSON.stringify(url)}`, () => {
    assert.throws(() => createClient({ url }), { code: 'INVALID_INPUT' });
  });
}

for (const { url, base } of [
  { url: 'http://relay:8080', base: 'http://relay:8080' },
  { url: 'wss://relay/', base: 'https://relay' },
  { url: 'https://relay/logs/api/v1/?x#y', base: 'https://relay/logs' },
]) {
  test(`of the url ${url} remains ${base}`, () => assert.equal(createClient({ url }).url, base));
}

test('the codes that pass by themselves are those of which the relay says so', () => {
  const passing = Object.entries(ERRORS).filter(([, { retry }]) => retry);
  assert.deepEqual([...PASSING_CODES].toSorted(), passing.map(([code]) => code).toSorted());
});
