import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeCursor } from '../../../shared/cursor.ts';
import { Principal } from '../../auth/principal.ts';
import { TestRun, T0, until } from '../../reading.fixture.ts';
import { dataOf, field, openStreams, RawStream, type RawEvent, type Streams } from './otto.fixture.ts';

const messages = (events: RawEvent[]): unknown[] => events.map((event) => dataOf(event).message);

async function shown(url: string, headers: Record<string, string> = {}): Promise<RawEvent[]> {
  const stream = await RawStream.open(url, headers);
  assert.equal(stream.response.statusCode, 200);
  return stream.rest();
}

/** An ended task of three lines. */
async function openThree(t: Parameters<typeof openStreams>[0]): Promise<Streams> {
  const opened = await openStreams(t);
  const run = await new TestRun(opened.reading, 't').open({ pod: 'p-1', app: 'x' });
  await run.write('one', { text: 'two', level: 'ERROR', source: 'stderr' }, 'three');
  await run.end();
  return opened;
}

test('an event is its name, its data and its id, in this order', async (t) => {
  const { base, reading } = await openThree(t);
  const events = await shown(`${base}/logs/t/stream`);
  const { cursors } = { cursors: reading.reader.cursors() };
  assert.deepEqual(events[1], [
    'event: log',
    'data: {"workerId":"test","taskId":"t","timestamp":"2026-01-02T03:04:05.678Z","level":"ERROR","source":"stderr",' +
      '"message":"two","metadata":{},"podMetadata":{"podName":"p-1","namespace":"","nodeName":"","createdAt":"",' +
      '"labels":{"app":"x"}}}',
    `id: ${cursors(3)}`,
  ]);
  const [name, , id] = events[3];
  assert.deepEqual([name, id], ['event: complete', `id: ${cursors(4)}~1`]);
  const { message, timestamp, clientId, ...rest } = dataOf(events[3]);
  assert.deepEqual(
    [message, typeof timestamp, typeof clientId, rest],
    ['로그 스트림이 완료되었습니다', 'string', 'string', {}],
  );
});

test('both names of a stream show the same lines, and begin at the first', async (t) => {
  const { base } = await openThree(t);
  for (const url of [`${base}/logs/t/stream`, `${base}/stream/t`]) {
    assert.deepEqual(messages(await shown(url)).slice(0, 3), ['one', 'two', 'three'], url);
  }
});

test('headers are there at once, also of a task that is not', async (t) => {
  const { base } = await openStreams(t);
  const stream = await RawStream.open(`${base}/logs/not%2Fyet/stream`);
  assert.equal(stream.response.headers['content-type'], 'text/event-stream');
  stream.close();
});

test('lines are shown as they come, until no run is open', async (t) => {
  const { base, reading } = await openStreams(t);
  const stream = await RawStream.open(`${base}/stream/t`);
  const run = await new TestRun(reading, 't').open();
  const other = await new TestRun(reading, 't').open();
  await run.write('one');
  assert.equal(dataOf(await stream.next()).message, 'one');
  await run.end();
  await other.write('two');
  assert.equal(dataOf(await stream.next()).message, 'two');
  await other.end();
  assert.equal(field(await stream.next(), 'event'), 'complete');
  assert.equal(await stream.next(), undefined);
});

test('unnamed, lines are messages, and all else keeps its name', async (t) => {
  const { base, reading } = await openThree(t);
  const events = await shown(`${base}/logs/t/stream?unnamed=true`);
  assert.deepEqual(
    events.map((event) => field(event, 'event')),
    [undefined, undefined, undefined, 'complete'],
  );
  assert.equal(field(events[0], 'id'), reading.reader.cursors()(2));
});

test('every id is a place to go on from, behind its event', async (t) => {
  const { base } = await openThree(t);
  const all = await shown(`${base}/logs/t/stream`);
  for (const by of ['last-event-id', 'cursor', 'from'] as const) {
    for (let seen = 1; seen <= 3; seen++) {
      const id = field(all[seen - 1], 'id') ?? '';
      const rest =
        by === 'last-event-id'
          ? await shown(`${base}/stream/t`, { [by]: id })
          : await shown(`${base}/stream/t?${by}=${id}`);
      assert.deepEqual(messages(rest), messages(all).slice(seen), `${by} ${seen}`);
    }
  }
});

test('who has seen the end is told not to come back, until there is more', async (t) => {
  const { base, reading } = await openThree(t);
  const end = field((await shown(`${base}/stream/t`)).at(-1), 'id') ?? '';
  const again = await RawStream.open(`${base}/stream/t`, { 'last-event-id': end });
  assert.deepEqual([again.response.statusCode, await again.rest()], [204, []]);

  const retried = await new TestRun(reading, 't').open();
  const waiting = await RawStream.open(`${base}/stream/t`, { 'last-event-id': end });
  await retried.write('again');
  await retried.end();
  assert.deepEqual(messages(await waiting.rest()), ['again', '로그 스트림이 완료되었습니다']);
  assert.deepEqual(messages(await shown(`${base}/stream/t`, { 'last-event-id': end })), [
    'again',
    '로그 스트림이 완료되었습니다',
  ]);
});

test('a line that came behind the last id, but not the end, is followed by the end', async (t) => {
  const { base, reading } = await openThree(t);
  const id = reading.reader.cursors()(4);
  assert.deepEqual(messages(await shown(`${base}/stream/t`, { 'last-event-id': id })), [
    '로그 스트림이 완료되었습니다',
  ]);
});

test('the id of the end is a place like any other, where it is asked for', async (t) => {
  const { base, reading } = await openThree(t);
  const end = field((await shown(`${base}/stream/t`)).at(-1), 'id') ?? '';
  const again = await new TestRun(reading, 't').open();
  await again.write('four');
  await again.end();
  for (const by of ['cursor', 'from']) {
    assert.deepEqual(messages(await shown(`${base}/stream/t?${by}=${end}`)).slice(0, 1), ['four'], by);
  }
});

test('a last id that means nothing here is told, and the stream begins anew', async (t) => {
  const { base } = await openThree(t);
  const another = encodeCursor({ epoch: 'another', line: 3 });
  for (const id of [another, '42', 'nonsense', `${another}~1`, '~', '💥']) {
    await t.test(JSON.stringify(id), async () => {
      const [error, ...lines] = await shown(`${base}/stream/t`, {
        'last-event-id': Buffer.from(id).toString('latin1'),
      });
      assert.equal(field(error, 'event'), 'error');
      assert.deepEqual(Object.keys(dataOf(error)), ['message', 'details', 'timestamp', 'clientId']);
      assert.match(String(dataOf(error).details), /^INVALID_CURSOR: /);
      assert.deepEqual(messages(lines).slice(0, 3), ['one', 'two', 'three']);
    });
  }
});

test('lines that are missing are shown as an entry of their own', async (t) => {
  const { base, reading } = await openStreams(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('one');
  await run.gap(3);
  await run.write('five');
  await run.end();
  const events = await shown(`${base}/stream/t?level=INFO`);
  const gap = { fromLine: 2, toLine: 4, reason: 'dropped' };
  assert.deepEqual(messages(events).slice(0, 3), ['one', '3 lines are missing here (dropped)', 'five']);
  assert.deepEqual(dataOf(events[1]).metadata, { gap });
  const behind = await shown(`${base}/stream/t`, { 'last-event-id': field(events[1], 'id') ?? '' });
  assert.deepEqual(messages(behind).slice(0, 1), ['five']);
});

test('two clients with different filters each get their own lines', async (t) => {
  const { base, reading } = await openStreams(t);
  const errors = await RawStream.open(`${base}/stream/t?level=ERROR`);
  const others = await RawStream.open(`${base}/stream/t?keywords=two,THREE&sources=stdout`);
  const run = await new TestRun(reading, 't').open();
  await run.write('one', { text: 'two', level: 'ERROR', source: 'stderr' }, 'three', { text: 'four', level: 'ERROR' });
  await run.end();
  assert.deepEqual(messages(await errors.rest()).slice(0, -1), ['two', 'four']);
  assert.deepEqual(messages(await others.rest()).slice(0, -1), ['three']);
});

test('lines of one worker are shown alone, also if it joins later', async (t) => {
  const { base, reading } = await openStreams(t);
  const [one, two] = [
    await new TestRun(reading, 't').open({}, { workerId: 'w-1' }),
    await new TestRun(reading, 't').open({}, { workerId: 'w-2' }),
  ];
  await one.write('one');
  await two.write('two');
  const streams = await Promise.all(
    ['stream/t', 'stream'].map((path) => RawStream.open(`${base}/${path}?workerId=w-2,w-3`)),
  );
  for (const stream of streams) assert.deepEqual(messages(await stream.take(1)), ['two']);
  const three = await new TestRun(reading, 't').open({}, { workerId: 'w-3' });
  await one.write('one again');
  await three.write('three');
  for (const stream of streams) {
    const [event] = await stream.take(1);
    assert.deepEqual([dataOf(event).workerId, dataOf(event).message], ['w-3', 'three']);
    stream.close();
  }
});

test('the stream of everything has all tasks in the order of the store', async (t) => {
  const { base, reading, merged } = await openStreams(t);
  const [a, b] = [await new TestRun(reading, 'a').open(), await new TestRun(reading, 'b').open()];
  await a.write('a1');
  await b.write('b1', 'b2');
  await b.gap(2);
  await a.write('a2');
  const stream = await RawStream.open(`${base}/stream`);
  const events = await stream.take(5);
  stream.close();
  assert.deepEqual(
    events.map((event) => [dataOf(event).taskId, dataOf(event).message]),
    [
      ['a', 'a1'],
      ['b', 'b1'],
      ['b', 'b2'],
      ['b', '2 lines are missing here (dropped)'],
      ['a', 'a2'],
    ],
  );
  for (let seen = 1; seen <= 4; seen++) {
    const resumed = await RawStream.open(`${base}/stream`, { 'last-event-id': field(events[seen - 1], 'id') ?? '' });
    assert.deepEqual(
      (await resumed.take(5 - seen)).map((event) => dataOf(event).message),
      messages(events).slice(seen),
      `${seen}`,
    );
    resumed.close();
  }
  assert.equal(field(events[4], 'id'), merged.cursors()(6));
  const some = await RawStream.open(`${base}/stream?taskIds=b&keywords=2`);
  assert.deepEqual(messages(await some.take(2)), ['b2', '2 lines are missing here (dropped)']);
  some.close();
});

test('of everything, a reader gets what it may read', async (t) => {
  const principal = new Principal('p', [
    { scope: 'read', tasks: ['a*'] },
    { scope: 'read', labels: { team: 'x' } },
  ]);
  const { base, reading } = await openStreams(t, { principal });
  for (const [task, labels] of [
    ['a1', {}],
    ['b1', {}],
    ['b2', { team: 'x' }],
    ['b3', { team: 'y' }],
    ['a2', {}],
  ] as const) {
    await (await new TestRun(reading, task).open(labels)).write(`of ${task}`);
  }
  const stream = await RawStream.open(`${base}/stream`);
  assert.deepEqual(messages(await stream.take(3)), ['of a1', 'of b2', 'of a2']);
  stream.close();
  for (const [path, status] of [
    ['stream/b1', 403],
    ['logs/b3/stream', 403],
    ['stream/b2', 200],
    ['stream/none', 403],
  ] as const) {
    const asked = await RawStream.open(`${base}/${path}`);
    assert.equal(asked.response.statusCode, status, path);
    asked.close();
  }
});

test('a stream ends when the labels of its task are others', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const principal = new Principal('p', [{ scope: 'read', labels: { team: 'a' } }]);
  const { base, reading } = await openStreams(t, { principal });
  const run = await new TestRun(reading, 't').open({ team: 'a' });
  await run.write('for a');
  const streams = await Promise.all(['stream/t', 'stream'].map((path) => RawStream.open(`${base}/${path}`)));
  const [alone, all] = streams;
  for (const stream of streams) assert.deepEqual(messages(await stream.take(1)), ['for a']);
  t.mock.timers.tick(30_000);
  for (const stream of streams) assert.equal(field(await stream.next(), 'event'), 'heartbeat');
  const other = await new TestRun(reading, 't').open({ team: 'b' });
  t.mock.timers.tick(30_000);
  const rest = await alone.rest();
  assert.deepEqual(
    rest.map((event) => field(event, 'event')),
    ['heartbeat', 'error'],
  );
  assert.match(String(dataOf(rest[1]).details), /^FORBIDDEN: /);
  await other.write('for b');
  const mine = await new TestRun(reading, 'u').open({ team: 'a' });
  await mine.write('for a again');
  assert.deepEqual(messages(await all.take(2)).slice(1), ['for a again']);
  all.close();
});

test('who may read nothing gets nothing', async (t) => {
  const { base } = await openStreams(t, { principal: new Principal('p', [{ scope: 'ingest' }]) });
  for (const path of ['stream', 'stream/t', 'logs/t/stream', 'pipelines/p/progress']) {
    const asked = await RawStream.open(`${base}/${path}`);
    assert.equal(asked.response.statusCode, 403, path);
  }
});

test('a request that can’t be read is refused', async (t) => {
  const { base } = await openThree(t);
  for (const [query, message] of [
    ['level=LOUD', /LOUD/],
    ['sources=keyboard', /keyboard/],
    ['startTime=yesterday', /yesterday/],
    ['endTime=1&endTime=2', /endTime/],
    ['from=yesterday', /yesterday/],
    ['from=start&from=now', /from may be given once/],
    ['cursor=start', /no cursor/],
    ['cursor=1', /no cursor/],
    ['cursor=%00', /no cursor/],
    [`cursor=${'x'.repeat(1000)}`, /no cursor/],
    [`cursor=${encodeCursor({ epoch: 'another', line: 1 })}`, /another|no cursor/],
    ['unnamed=perhaps', /perhaps/],
    [`keywords=${Array.from({ length: 101 }, () => 'x').join(',')}`, /more than 100/],
  ] as const) {
    await t.test(query.slice(0, 40), async () => {
      for (const path of ['stream', 'stream/t']) {
        const answer = await fetch(`${base}/${path}?${query}`);
        const body = (await answer.json()) as Record<string, unknown>;
        assert.equal(answer.status, 400, JSON.stringify(body));
        assert.match(String(body.message), message);
        assert.deepEqual(Object.keys(body), ['message', 'details', 'timestamp', 'clientId']);
      }
    });
  }
});

test('a client that goes leaves nothing behind', async (t) => {
  const { base, reading, streams } = await openThree(t);
  const run = await new TestRun(reading, 'u').open();
  await run.write('one');
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(
      ['stream', 'stream/u', 'logs/u/stream', 'pipelines/x/progress'].map((path) => RawStream.open(`${base}/${path}`)),
    );
    for (const client of clients) client.close();
  }
  await until(() => streams.count === 0 && reading.reader.followed.readers === 0);
});

test('a filter that nothing matches goes on behind what was searched', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { base, reading } = await openStreams(t);
  const run = await new TestRun(reading, 't').open();
  await run.write(...Array.from({ length: 100 }, (_, i) => ({ text: `line ${i}`, time: T0 })));
  const stream = await RawStream.open(`${base}/stream/t?keywords=never`);
  const heartbeat = async (): Promise<RawEvent | undefined> => {
    const next = stream.next();
    t.mock.timers.tick(30_000);
    return next;
  };
  let event = await heartbeat();
  assert.equal(field(event, 'event'), 'heartbeat');
  assert.deepEqual(Object.keys(dataOf(event)), ['timestamp']);
  const searched = reading.reader.cursors()(101);
  while (field(event, 'id') !== searched) event = await heartbeat();
  stream.close();
});

test('a heartbeat comes every half minute, whatever else comes', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { base, reading } = await openStreams(t);
  const run = await new TestRun(reading, 't').open();
  const stream = await RawStream.open(`${base}/stream/t`);
  for (const message of ['one', 'two', 'three', 'four']) {
    await run.write(message);
    assert.deepEqual(messages(await stream.take(1)), [message]);
    t.mock.timers.tick(10_000);
    if (message !== 'three') continue;
    const heartbeat = await stream.next();
    assert.deepEqual([field(heartbeat, 'event'), field(heartbeat, 'id')], ['heartbeat', reading.reader.cursors()(4)]);
  }
  stream.close();
});

test('what can be no task is not waited for', async (t) => {
  const { base } = await openStreams(t);
  for (const [path, message] of [
    ['logs//stream', /^The task id is empty\.$/],
    ['stream/a%00b', /^The task id has control characters\.$/],
    [`stream/${'x'.repeat(257)}`, /^The task id has 257 bytes/],
  ] as const) {
    const answer = await fetch(`${base}/${path}`);
    assert.equal(answer.status, 400, path);
    assert.match(((await answer.json()) as { message: string }).message, message);
  }
});
