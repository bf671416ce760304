import assert from 'node:assert/strict';
import test from 'node:test';
import { Principal, type Grant } from '../../auth/principal.ts';
import { TestRun } from '../../reading.fixture.ts';
import { openRoutes, type Routes } from './routes.fixture.ts';

const LOGS = '/tasks/t/logs';
const LARGE = `{"pinned":"${'x'.repeat(1024 * 1024)}"}`;

/** What is asked by somebody who may do everything. */
const BAD: { what: string; method?: 'GET' | 'PUT' | 'DELETE'; url: string; payload?: string; says: RegExp }[] = [
  { what: 'a context that is no number', url: `${LOGS}?context=x`, says: /context is "x"/ },
  { what: 'more context than there may be', url: `${LOGS}?context=101`, says: /from 0 to 100/ },
  { what: 'metadata without a key', url: `${LOGS}?meta.=1`, says: /without a key/ },
  { what: 'metadata given twice', url: `${LOGS}?meta.a=1&meta.a=2`, says: /meta\.a may be given once/ },
  { what: 'a metadata key of too many parts', url: `${LOGS}?meta.${'a.'.repeat(9)}b=1`, says: /parts/ },
  { what: 'a page that is past all numbers', url: `${LOGS}?page=${'9'.repeat(16)}`, says: /page is/ },
  { what: 'too many words', url: `${LOGS}?${'q=a&'.repeat(101)}`, says: /more than 100/ },
  { what: 'an expression that is none', url: `${LOGS}/count?regex=(`, says: /regex|expression/i },
  { what: 'an expression given twice', url: `${LOGS}/count?regex=a&regex=b`, says: /given once/ },
  { what: 'stats of some lines', url: `${LOGS}/stats?level=ERROR`, says: /level can't be given/ },
  { what: 'stats by metadata', url: `${LOGS}/stats?meta.a=1`, says: /meta\.a can't be given/ },
  { what: 'an export of another format', url: `${LOGS}/export?format=xml`, says: /json, csv, txt, ndjson/ },
  { what: 'an export of two formats', url: `${LOGS}/export?format=csv&format=txt`, says: /given once/ },
  { what: 'plain CSV', url: `${LOGS}/export?format=csv&plain=true`, says: /plain=true goes with format=txt/ },
  { what: 'gzip that is neither', url: `${LOGS}/export?gzip=maybe`, says: /true or false/ },
  { what: 'an export from no time', url: `${LOGS}/export?from=now`, says: /ISO 8601/ },
  { what: 'a deletion of everything', method: 'DELETE', url: LOGS, says: /before is missing/ },
  { what: 'a deletion before nothing', method: 'DELETE', url: `${LOGS}?before=`, says: /before is missing/ },
  { what: 'a deletion before two times', method: 'DELETE', url: `${LOGS}?before=2026&before=2027`, says: /given once/ },
  { what: 'a deletion before no time', method: 'DELETE', url: `${LOGS}?before=soon`, says: /ISO 8601/ },
  { what: 'a pin without a body', method: 'PUT', url: '/tasks/t/pin', says: /"pinned":true/ },
  { what: 'a pin of text', method: 'PUT', url: '/tasks/t/pin', payload: '{"pinned":"true"}', says: /"pinned":true/ },
  { what: 'a pin of a list', method: 'PUT', url: '/tasks/t/pin', payload: '[true]', says: /"pinned":true/ },
  { what: 'a pin of null', method: 'PUT', url: '/tasks/t/pin', payload: 'null', says: /"pinned":true/ },
  { what: 'a pin that is no JSON', method: 'PUT', url: '/tasks/t/pin', payload: '{pinned', says: /JSON/ },
  { what: 'a list since no time', url: '/tasks?since=yesterday', says: /ISO 8601/ },
];

for (const { what, method = 'GET', url, payload, says } of BAD) {
  test(`refuses ${what}, and nothing changes`, async (t) => {
    const routes = await openTask(t);
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await routes.app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    const { error } = answer.json<{ error: { code: string; message: string } }>();
    assert.deepEqual([answer.statusCode, error.code], [400, 'INVALID_INPUT']);
    assert.match(error.message, says);
    const { lines, pinned } = (await routes.app.inject('/tasks/t')).json<{ lines: number; pinned: boolean }>();
    assert.deepEqual([lines, pinned], [1, false]);
  });
}

test('refuses a body that is too large', async (t) => {
  const { app } = await openTask(t);
  const headers = { 'content-type': 'application/json' };
  const answer = await app.inject({ method: 'PUT', url: '/tasks/t/pin', headers, payload: LARGE });
  assert.deepEqual([answer.statusCode, answer.json<{ error: { code: string } }>().error.code], [413, 'TOO_LARGE']);
});

const READS = ['', '/logs', '/logs/count', '/logs/stats', '/logs/export'];
const CALLS = [
  ...READS.flatMap((path) => (['GET', 'HEAD'] as const).map((method) => ({ method, path }))),
  { method: 'DELETE', path: '/logs?before=2000-01-01' } as const,
  { method: 'PUT', path: '/pin', payload: { pinned: true } } as const,
];

for (const { who, grants, read, admin, none } of [
  { who: 'nobody in particular', grants: [], read: 403, admin: 403, none: 403 },
  { who: 'a reader', grants: [{ scope: 'read' }], read: 200, admin: 403, none: 404 },
  { who: 'an agent', grants: [{ scope: 'ingest' }], read: 403, admin: 403, none: 403 },
  { who: 'an admin', grants: [{ scope: 'admin' }], read: 200, admin: 200, none: 404 },
  { who: 'a reader of other tasks', grants: [{ scope: 'read', tasks: ['x-*'] }], read: 403, admin: 403, none: 403 },
  {
    who: 'an admin of this task',
    grants: [{ scope: 'admin', tasks: ['t'] }],
    read: 200,
    admin: 200,
    none: 403,
  },
  {
    who: 'a reader of tasks with its label',
    grants: [{ scope: 'read', labels: { team: 'blue' } }],
    read: 200,
    admin: 403,
    none: 403,
  },
  {
    who: 'a reader of tasks with another label',
    grants: [{ scope: 'read', labels: { team: 'red' } }],
    read: 403,
    admin: 403,
    none: 403,
  },
] satisfies { who: string; grants: Grant[]; read: number; admin: number; none: number }[]) {
  test(`${who} gets what is granted, and learns of no other task`, async (t) => {
    const routes = await openTask(t, new Principal('test', grants));
    for (const { method, path, ...call } of CALLS) {
      const isRead = method === 'GET' || method === 'HEAD';
      const answer = await routes.app.inject({ method, url: `/tasks/t${path}`, ...call });
      assert.equal(answer.statusCode, isRead ? read : admin, `${method} ${path}: ${answer.body}`);
      if (!isRead) continue;
      const other = await routes.app.inject({ method, url: `/tasks/none${path}` });
      assert.equal(other.statusCode, none, `${method} none${path}`);
    }
    const list = await routes.app.inject('/tasks');
    const mayList = grants.some(({ scope }) => scope !== 'ingest');
    assert.equal(list.statusCode, mayList ? 200 : 403);
    if (!mayList) return;
    const { content } = list.json<{ content: { taskId: string }[] }>();
    assert.deepEqual(
      content.map(({ taskId }) => taskId),
      read === 200 ? ['t'] : [],
    );
  });
}

test('a list passes over what may not be read, and its pages are full', async (t) => {
  const principal = new Principal('test', [{ scope: 'read', tasks: ['mine-*'] }]);
  const routes = await openRoutes(t, { principal });
  for (let i = 0; i < 30; i++) await new TestRun(routes.reading, `${i % 3 === 0 ? 'mine' : 'theirs'}-${i}`).open();
  const seen: string[][] = [];
  interface TaskPage {
    content: { taskId: string }[];
    next: string | null;
  }
  let next: string | null = '';
  while (next !== null) {
    const page: TaskPage = (await routes.app.inject(`/tasks?size=4&after=${next}`)).json();
    seen.push(page.content.map(({ taskId }) => taskId));
    next = page.next;
  }
  assert.deepEqual(
    seen.map((page) => page.length),
    [4, 4, 2],
  );
  assert.ok(seen.flat().every((task) => task.startsWith('mine-')));
});

async function openTask(t: Parameters<typeof openRoutes>[0], principal?: Principal): Promise<Routes> {
  const routes = await openRoutes(t, principal && { principal });
  await (await new TestRun(routes.reading, 't').open({ team: 'blue' })).write('one');
  return routes;
}
