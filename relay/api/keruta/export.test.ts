import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_REST } from '../../../shared/line.ts';
import { T0, TestRun, until } from '../../reading.fixture.ts';
import { StoreError, type Stored } from '../../store/store.ts';
import { openRoutes, type Routes } from './routes.fixture.ts';

const TIME = '2026-01-02T03:04:05.678Z';

/** Lines of all kinds, with a gap in the middle and one at the beginning. */
async function writeAll({ reading }: Routes): Promise<void> {
  const run = await new TestRun(reading, 't/1').open();
  await run.write('gone');
  await run.write('plain', { text: '=1+1', source: 'stderr', level: 'ERROR', metadata: '{"k":1}' });
  await run.gap(2);
  await run.write('a,"b"', { text: '漢字\nsecond', level: 'WARN' });
  await reading.store.trim('t/1', 1);
}

async function exported(t: TestContext, query: string): Promise<{ text: string; headers: Record<string, unknown> }> {
  const routes = await openRoutes(t);
  await writeAll(routes);
  const answer = await routes.app.inject(`/tasks/t%2F1/logs/export?${query}`);
  assert.equal(answer.statusCode, 200, answer.body);
  return { text: answer.body, headers: answer.headers };
}

for (const { what, query, lines } of [
  {
    what: 'CSV quotes and guards cells, and has a row for a gap',
    query: 'format=csv',
    lines: [
      'lineNumber,timestamp,source,level,message\r',
      `1,CREATED,agent,WARN,[gap: line 1 missing: trimmed]\r`,
      `2,${TIME},stdout,INFO,plain\r`,
      `3,${TIME},stderr,ERROR,'=1+1\r`,
      `4,${TIME},agent,WARN,[gap: lines 4 to 5 missing: dropped]\r`,
      `6,${TIME},stdout,INFO,"a,""b"""\r`,
      `7,${TIME},stdout,WARN,"漢字`,
      'second"\r',
      '',
    ],
  },
  {
    what: 'text has time, source and level before each message, and indents what is in several lines',
    query: 'format=txt',
    lines: [
      'CREATED agent WARN [gap: line 1 missing: trimmed]',
      `${TIME} stdout INFO plain`,
      `${TIME} stderr ERROR =1+1`,
      `${TIME} agent WARN [gap: lines 4 to 5 missing: dropped]`,
      `${TIME} stdout INFO a,"b"`,
      `${TIME} stdout WARN 漢字`,
      '\tsecond',
      '',
    ],
  },
  {
    what: 'plain text is the messages alone, and gaps',
    query: 'format=txt&plain=true',
    lines: [
      '[gap: line 1 missing: trimmed]',
      'plain',
      '=1+1',
      '[gap: lines 4 to 5 missing: dropped]',
      'a,"b"',
      '漢字',
      'second',
      '',
    ],
  },
  {
    what: 'a filter keeps what matches, and the gaps',
    query: 'format=txt&plain=true&level=ERROR',
    lines: ['[gap: line 1 missing: trimmed]', '=1+1', '[gap: lines 4 to 5 missing: dropped]', ''],
  },
  {
    what: 'a filter that no line matches leaves the head of CSV',
    query: `format=csv&to=2020-01-01`,
    lines: ['lineNumber,timestamp,source,level,message\r', '1,CREATED,agent,WARN,[gap: line 1 missing: trimmed]\r', ''],
  },
]) {
  test(`an export: ${what}`, async (t) => {
    const { text } = await exported(t, query);
    assert.deepEqual(text.replace(/20\d\d-\S+?Z(?=.agent.WARN.\[gap: line 1 )/, 'CREATED').split('\n'), lines);
  });
}

test('an export as JSON is the array of what the list shows, as NDJSON the same by lines, with the gaps between', async (t) => {
  const routes = await openRoutes(t);
  await writeAll(routes);
  const body = async (path: string): Promise<string> => (await routes.app.inject(`/tasks/t%2F1/logs${path}`)).body;
  const { content } = JSON.parse(await body('')) as { content: unknown[] };
  const gap = (fromLine: number, toLine: number, reason: string): object => ({ gap: { fromLine, toLine, reason } });
  const wanted = [gap(1, 1, 'trimmed'), ...content.slice(0, 2), gap(4, 5, 'dropped'), ...content.slice(2)];
  assert.deepEqual(JSON.parse(await body('/export')), wanted);
  assert.deepEqual(JSON.parse(await body('/export?format=json')), wanted);
  const lines = (await body('/export?format=ndjson')).split('\n');
  assert.equal(lines.pop(), '');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    wanted,
  );
  const { content: none } = JSON.parse(await body('?q=nothing')) as { content: unknown[] };
  assert.deepEqual(none, []);
});

test('an export of a task without lines is empty in every format', async (t) => {
  const routes = await openRoutes(t);
  await new TestRun(routes.reading, 't').open();
  const body = async (query: string): Promise<string> =>
    (await routes.app.inject(`/tasks/t/logs/export?${query}`)).body;
  assert.deepEqual(JSON.parse(await body('format=json')), []);
  assert.deepEqual([await body('format=ndjson'), await body('format=txt'), await body('plain=true')], ['', '', '']);
});

for (const { what, lines, plain } of [
  { what: 'whole lines', lines: ['a', '', 'b'], plain: 'a\n\nb\n' },
  { what: 'a \\r before the line end', lines: ['a', { text: 'b', flags: KIND_CR }, 'c'], plain: 'a\nb\r\nc\n' },
  {
    what: 'pieces of one line',
    lines: [
      { text: 'a', flags: KIND_MORE },
      { text: 'b', flags: KIND_MORE | KIND_REST },
      { text: 'c', flags: KIND_REST | KIND_CR },
      'd',
    ],
    plain: 'abc\r\nd\n',
  },
  {
    what: 'pieces with a line of the other source between them',
    lines: [
      { text: 'a', flags: KIND_MORE },
      { text: 'E', source: 'stderr' as const },
      { text: 'b', flags: KIND_REST },
    ],
    plain: 'a\nE\nb\n',
  },
  { what: 'a last line without its end', lines: ['a', { text: 'b', flags: KIND_NO_EOL }], plain: 'a\nb' },
  {
    what: 'a line without its end before others',
    lines: [{ text: 'a', source: 'stderr' as const, flags: KIND_NO_EOL }, 'b'],
    plain: 'a\nb\n',
  },
  { what: 'an unfinished line', lines: ['a', { text: 'Continue? ', flags: KIND_MORE }], plain: 'a\nContinue? ' },
]) {
  for (const at of lines.keys()) {
    test(`a plain export restores ${what}, cut into chunks before line ${at + 1}`, async (t) => {
      const routes = await openRoutes(t);
      const run = await new TestRun(routes.reading, 't').open();
      if (at > 0) await run.write(...lines.slice(0, at));
      await run.write(...lines.slice(at));
      assert.equal((await routes.app.inject('/tasks/t/logs/export?plain=true')).body, plain);
    });
  }
}

test('a plain export joins pieces of one source that a filter has parted from the other', async (t) => {
  const routes = await openRoutes(t);
  const run = await new TestRun(routes.reading, 't').open();
  await run.write({ text: 'a', flags: KIND_MORE }, { text: 'E', source: 'stderr' }, { text: 'b', flags: KIND_REST });
  assert.equal((await routes.app.inject('/tasks/t/logs/export?plain=1&source=stdout')).body, 'ab\n');
});

test('a plain export copies bytes that are no UTF-8 as they are', async (t) => {
  const routes = await openRoutes(t);
  const run = await new TestRun(routes.reading, 't').open();
  await run.write('ÿþ', { text: 'x', source: 'stderr' });
  const { rawPayload } = await routes.app.inject('/tasks/t/logs/export?plain=true');
  assert.deepEqual(rawPayload, Buffer.from('ÿþ\nx\n'));
});

const TODAY = new Date().toISOString().slice(0, 10);

for (const { task, query, type, disposition } of [
  { task: 't1', query: 'format=csv', type: 'text/csv', disposition: `attachment; filename=t1-${TODAY}.csv` },
  { task: 't1', query: '', type: 'application/json', disposition: `attachment; filename=t1-${TODAY}.json` },
  { task: 't1', query: 'format=txt', type: 'text/plain', disposition: `attachment; filename=t1-${TODAY}.txt` },
  {
    task: 't1',
    query: 'format=ndjson&gzip=true',
    type: 'application/gzip',
    disposition: `attachment; filename=t1-${TODAY}.ndjson.gz`,
  },
  {
    task: '../../etc/passwd',
    query: 'plain=true',
    type: 'text/plain',
    disposition: `attachment; filename=__.._etc_passwd-${TODAY}.txt`,
  },
  {
    task: 'a"; rm -rf "b\\',
    query: 'format=CSV',
    type: 'text/csv',
    disposition: `attachment; filename=a_rm_-rf_b_-${TODAY}.csv`,
  },
  {
    task: 'ビルド',
    query: 'format=csv',
    type: 'text/csv',
    disposition: `attachment; filename="???-${TODAY}.csv"; filename*=UTF-8''${encodeURIComponent('ビルド')}-${TODAY}.csv`,
  },
]) {
  test(`an export of ${task} with "${query}" has a type and a safe name, over HEAD, too`, async (t) => {
    const routes = await openRoutes(t);
    await (await new TestRun(routes.reading, task).open()).write('one');
    const url = `/tasks/${encodeURIComponent(task)}/logs/export?${query}`;
    for (const method of ['GET', 'HEAD'] as const) {
      const { headers, statusCode, rawPayload } = await routes.app.inject({ method, url });
      assert.equal(statusCode, 200);
      assert.equal(String(headers['content-type']).split(';')[0], type);
      // Around midnight it may be the next day already.
      assert.equal(String(headers['content-disposition']).replaceAll(/\d{4}-\d\d-\d\d/g, TODAY), disposition);
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(rawPayload.length > 0, method === 'GET');
    }
  });
}

test('a compressed export is the other one, compressed', async (t) => {
  const routes = await openRoutes(t);
  await writeAll(routes);
  const raw = async (query: string): Promise<Buffer> =>
    (await routes.app.inject(`/tasks/t%2F1/logs/export?format=csv${query}`)).rawPayload;
  assert.deepEqual(gunzipSync(await raw('&gzip=true')), await raw(''));
});

/** 40 MB of text, which no socket holds, behind a server; and how often the store was read since. */
async function openLarge(t: TestContext): Promise<Large> {
  const routes = await openRoutes(t);
  const { store } = routes.reading;
  const run = await new TestRun(routes.reading, 't').open();
  const lines = Array.from({ length: 2000 }, () => randomBytes(80).toString('base64'));
  for (let chunk = 0; chunk < CHUNKS; chunk++) await run.write(...lines);
  const large: Large = { url: '', read: 0, closed: 0, text: lines.join('\n').length * CHUNKS, fail: false };
  const read = store.read.bind(store);
  store.read = async (what): Promise<Stored[]> => {
    large.read++;
    if (large.fail) throw new StoreError('other', 'the store is gone');
    // A chunk at a time, so that it shows how far a reader is.
    return read({ ...what, maxBytes: 1 });
  };
  routes.app.addHook('onRequest', (_request, reply, done) => {
    reply.raw.once('close', () => large.closed++);
    done();
  });
  await routes.app.listen({ host: '127.0.0.1', port: 0 });
  large.url = `http://127.0.0.1:${(routes.app.server.address() as AddressInfo).port}/tasks/t/logs`;
  return large;
}

interface Large {
  url: string;
  read: number;
  closed: number;
  /** Characters of text, about. */
  text: number;
  fail: boolean;
}

const CHUNKS = 120;

async function begin(url: string): Promise<IncomingMessage> {
  const request = get(url, { agent: false });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  return answer.pause();
}

/** Waits until a reader that nobody takes from has come as far as it will: answers to others come and go meanwhile. */
async function untilStill(large: Large): Promise<void> {
  for (let last = -1; last !== large.read;) {
    last = large.read;
    for (let i = 0; i < 20; i++) await (await fetch(`${large.url}/stats`)).arrayBuffer();
  }
}

for (const query of ['format=json', 'format=csv', 'plain=true', 'format=ndjson&gzip=true']) {
  test(`an export (${query}) reads no more than its client takes, and stops when that goes`, async (t) => {
    const large = await openLarge(t);
    const answer = await begin(`${large.url}/export?${query}`);
    await untilStill(large);
    assert.ok(large.read < CHUNKS / 2, `${large.read} of ${CHUNKS} chunks were read`);
    const { read, closed } = large;
    answer.destroy();
    await until(() => large.closed > closed);
    await untilStill(large);
    assert.ok(large.read <= read + 1, `${large.read - read} more chunks were read`);
  });
}

test('a large export comes whole to a slow client', async (t) => {
  const large = await openLarge(t);
  const answer = await begin(`${large.url}/export?plain=true`);
  await untilStill(large);
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  assert.equal(bytes, large.text + CHUNKS);
});

for (const query of ['format=json', 'format=csv', 'format=csv&gzip=true']) {
  test(`an export (${query}) whose store fails breaks off and does not look whole`, async (t) => {
    const large = await openLarge(t);
    const answer = await begin(`${large.url}/export?${query}`);
    await untilStill(large);
    large.fail = true;
    await assert.rejects(answer.toArray(), { code: 'ECONNRESET' });
  });
}

test('an export whose store fails at once answers with the error', async (t) => {
  const large = await openLarge(t);
  large.fail = true;
  for (const query of ['format=csv', 'format=ndjson&gzip=true']) {
    const answer = await fetch(`${large.url}/export?${query}`);
    const body = (await answer.json()) as { error: { code: string } };
    assert.deepEqual([answer.status, body.error.code], [500, 'DATABASE_ERROR']);
    assert.equal(answer.headers.get('content-disposition'), null);
  }
});

test('a page of large lines is sent as it is taken', async (t) => {
  const large = await openLarge(t);
  const answer = await begin(`${large.url}?size=1000&context=100&q=9x`);
  const { content } = JSON.parse(Buffer.concat((await answer.toArray()) as Buffer[]).toString()) as {
    content: { lineNumber: number }[];
  };
  assert.ok(content.length > 1000);
  content.forEach(({ lineNumber }, i) => assert.ok(i === 0 || lineNumber > content[i - 1].lineNumber));
});

test('times in an export are those of the lines', async (t) => {
  const routes = await openRoutes(t);
  await (await new TestRun(routes.reading, 't').open()).write({ text: 'a', time: T0 }, { text: 'b', time: T0 + 1 });
  const { body } = await routes.app.inject('/tasks/t/logs/export?format=txt');
  assert.equal(body, `${TIME} stdout INFO a\n2026-01-02T03:04:05.679Z stdout INFO b\n`);
});
