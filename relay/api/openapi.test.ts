import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { mintToken } from '../auth/mint.ts';
import type { Scope } from '../auth/principal.ts';
import { FakeAgent } from '../ingest.fixture.ts';
import { relayConfig } from '../relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay.ts';
import type { OpenapiDocument, Operation } from './openapi-names.ts';

const SECRET = 'a secret of a test that is long enough';
const LIMITS_AND_LOAD = ['429', '503', '507'];

let folder: string;
let relay: Relay;
let document: OpenapiDocument;
const tokens = {} as Record<Scope | 'elsewhere', string>;
const ajv = new Ajv2020({ strict: false });
formats.default(ajv);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-openapi-'));
  relay = await startRelay(relayConfig({ dataDir: folder, jwtSecret: SECRET, debug: true }));
  document = (await (await fetch(`${relay.url}/openapi.json`)).json()) as OpenapiDocument;
  ajv.addSchema({ $id: 'document', ...document });
  for (const scope of ['read', 'ingest', 'admin'] as const) tokens[scope] = await mint([scope]);
  tokens.elsewhere = await mint(['ingest', 'read'], ['no-such-*']);
  const lines = [{ level: 'INFO', message: 'one', metadata: { k: 1 } }];
  await ask('POST', '/api/v1/tasks/t/logs', { body: [...lines, { level: 'ERROR', message: '=two' }] });
  const headers = { authorization: `Bearer ${tokens.admin}` };
  const agent = await FakeAgent.connect(relay.url.replace('http', 'ws'), { task: 'piped', headers });
  agent.hello({ pipelineId: 'p/1' });
  await agent.hears('ready');
  await ask('PUT', '/api/v1/tasks/done/status', { body: { status: 'COMPLETED' } });
  for (const ended of ['stream/done', 'pipelines/done/progress']) {
    const events = await (await ask('GET', `${OTTO}/${ended}`)).text();
    seen[ended].headers = { 'last-event-id': /\nid: (.*)\n\n$/.exec(events)?.[1] ?? '' };
  }
});

after(async () => {
  await relay.stop();
  await rm(folder, { recursive: true });
});

function mint(scopes: Scope[], tasks?: string[]): Promise<string> {
  const about = { subject: 'test', audience: [], lifeMs: 600_000, now: Date.now() };
  return mintToken({ secret: SECRET, scopes, ...(tasks && { tasks }), ...about });
}

interface Asked {
  body?: unknown;
  token?: string | undefined;
  headers?: Record<string, string>;
}

async function ask(method: string, path: string, asked: Asked = {}): Promise<Response> {
  const { body, token = tokens.admin, headers } = asked;
  const sent = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(relay.url + path, {
    method,
    headers: {
      ...(token !== '' && { authorization: `Bearer ${token}` }),
      ...(sent !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(sent !== undefined && { body: sent }),
  });
}

const LOGS = '/api/v1/tasks/t/logs';
const NONE = '/api/v1/tasks/none';
const OTTO = '/api/v1/log-streaming';
const STRATAL = '/api/v1/logs';
/** How Otto's clients ask again for what they have seen the end of. */
const seen: Record<string, Asked> = { 'stream/done': {}, 'pipelines/done/progress': {} };
const LARGE = `"${'x'.repeat(1024 * 1024)}"`;

/** For each call and status that is documented, a request that is answered so. */
const ASKED: Record<string, Record<string, [path: string, asked?: Asked]>> = {
  'GET /health': { 200: ['/health'] },
  'GET /health/ready': { 200: ['/health/ready'] },
  'GET /health/live': { 200: ['/health/live'] },
  'GET /metrics': { 200: ['/metrics'] },
  'POST /debug/gc': { 200: ['/debug/gc'] },
  'GET /debug/pprof/profile': { 200: ['/debug/pprof/profile?seconds=1'], 400: ['/debug/pprof/profile?seconds=x'] },
  'GET /debug/pprof/heap': { 200: ['/debug/pprof/heap'] },
  'GET /api/v1/whoami': { 200: ['/api/v1/whoami'] },
  'GET /api/v1/tasks': { 200: ['/api/v1/tasks?size=1'], 400: ['/api/v1/tasks?size=0'] },
  'GET /api/v1/tasks/{taskId}': { 200: ['/api/v1/tasks/t'], 404: [NONE] },
  'GET /api/v1/pipelines': { 200: ['/api/v1/pipelines?size=1'], 400: ['/api/v1/pipelines?size=0'] },
  'GET /api/v1/pipelines/{pipelineId}': { 200: ['/api/v1/pipelines/p%2F1'], 404: ['/api/v1/pipelines/none'] },
  'PUT /api/v1/tasks/{taskId}/pin': {
    200: ['/api/v1/tasks/t/pin', { body: { pinned: true } }],
    400: ['/api/v1/tasks/t/pin', { body: { pinned: 'yes' } }],
    404: [`${NONE}/pin`, { body: { pinned: true } }],
    413: ['/api/v1/tasks/t/pin', { body: LARGE }],
  },
  'GET /api/v1/tasks/{taskId}/logs': { 200: [LOGS], 400: [`${LOGS}?size=0`], 404: [`${NONE}/logs`] },
  'POST /api/v1/tasks/{taskId}/logs': {
    201: [LOGS, { body: { level: 'INFO', message: 'three' } }],
    400: [LOGS, { body: '{' }],
    409: [`${LOGS}?run=01ARZ3NDEKTSV4RRFFQ69G5FAV&seq=7`, { body: [{ level: 'INFO', message: 'x' }] }],
    413: [LOGS, { body: LARGE }],
  },
  'DELETE /api/v1/tasks/{taskId}/logs': {
    200: [`${LOGS}?before=2020-01-01`],
    400: [LOGS],
    404: [`${NONE}/logs?before=2020-01-01`],
  },
  'GET /api/v1/tasks/{taskId}/logs/count': {
    200: [`${LOGS}/count?level=INFO`],
    400: [`${LOGS}/count?level=LOUD`],
    404: [`${NONE}/logs/count`],
  },
  'GET /api/v1/tasks/{taskId}/logs/stats': {
    200: [`${LOGS}/stats`],
    400: [`${LOGS}/stats?level=INFO`],
    404: [`${NONE}/logs/stats`],
  },
  'GET /api/v1/tasks/{taskId}/logs/export': {
    200: [`${LOGS}/export?format=csv`],
    400: [`${LOGS}/export?format=xml`],
    404: [`${NONE}/logs/export`],
  },
  'PUT /api/v1/tasks/{taskId}/status': {
    200: ['/api/v1/tasks/t/status', { body: { status: 'PROCESSING', progress: 50 } }],
    400: ['/api/v1/tasks/t/status', { body: { status: 'ASLEEP' } }],
    413: ['/api/v1/tasks/t/status', { body: LARGE }],
  },
  'GET /api/v1/log-streaming/health': { 200: [`${OTTO}/health`] },
  'GET /api/v1/log-streaming/stream': { 200: [`${OTTO}/stream`], 400: [`${OTTO}/stream?level=LOUD`] },
  'GET /api/v1/log-streaming/stream/{taskId}': {
    200: [`${OTTO}/stream/t`],
    204: [`${OTTO}/stream/done`, seen['stream/done']],
    400: [`${OTTO}/stream/t?cursor=x`],
  },
  'GET /api/v1/log-streaming/logs/{taskId}/stream': {
    200: [`${OTTO}/logs/t/stream`],
    204: [`${OTTO}/logs/done/stream`, seen['stream/done']],
    400: [`${OTTO}/logs/t/stream?startTime=x`],
  },
  'GET /api/v1/log-streaming/pipelines/{pipelineId}/progress': {
    200: [`${OTTO}/pipelines/t/progress`],
    204: [`${OTTO}/pipelines/done/progress`, seen['pipelines/done/progress']],
    400: [`${OTTO}/pipelines/t/progress?unnamed=x`],
  },
  'GET /api/v1/logs/stream/status': { 200: [`${STRATAL}/stream/status`] },
  'GET /api/v1/logs/stream/sse': { 200: [`${STRATAL}/stream/sse`], 400: [`${STRATAL}/stream/sse?cursor=x`] },
  'GET /api/v1/logs/job-runs/{id}': { 200: [`${STRATAL}/job-runs/t`] },
  'GET /api/v1/logs/job-runs/{id}/download': {
    200: [`${STRATAL}/job-runs/t/download`],
    400: [`${STRATAL}/job-runs/t/download?date=x`],
  },
  'GET /api/v1/logs/task-runs/{id}': { 200: [`${STRATAL}/task-runs/t`] },
  'GET /api/v1/logs/system': { 200: [`${STRATAL}/system`] },
  'GET /api/v1/logs/type/{type}': { 200: [`${STRATAL}/type/job`], 400: [`${STRATAL}/type/x`] },
};

/** Of what everybody may ask who may read anything. */
const OF_ALL = [
  'GET /api/v1/tasks',
  'GET /api/v1/pipelines',
  'GET /api/v1/pipelines/{pipelineId}',
  'GET /api/v1/log-streaming/stream',
  'GET /api/v1/log-streaming/pipelines/{pipelineId}/progress',
  'GET /api/v1/logs/stream/status',
  'GET /api/v1/logs/stream/sse',
  'GET /api/v1/logs/job-runs/{id}',
  'GET /api/v1/logs/job-runs/{id}/download',
  'GET /api/v1/logs/task-runs/{id}',
  'GET /api/v1/logs/system',
  'GET /api/v1/logs/type/{type}',
];
/** Of what everybody may ask who is known. */
const FOR_ALL = ['GET /api/v1/whoami', 'GET /api/v1/log-streaming/health'];
/** The errors of other APIs, by tag. */
const ERROR_OF: Record<string, string> = { otto: 'OttoError', stratal: 'StratalError' };

test('the document is valid OpenAPI 3.1', async () => {
  assert.match(document.openapi, /^3\.1\./);
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never);
  assert.deepEqual([valid, errors], [true, undefined]);
});

test('every route is documented, with a summary, a known tag and its errors', () => {
  const calls = operations().map(({ call }) => call);
  assert.deepEqual(calls.sort(), Object.keys(ASKED).sort());
  const tags = document.tags?.map(({ name }) => name);
  for (const { call, operation } of operations()) {
    assert.ok(operation.summary, call);
    assert.ok(
      operation.tags?.every((tag) => tags?.includes(tag)),
      call,
    );
    for (const [status, { content }] of Object.entries(operation.responses)) {
      const types = Object.keys(content ?? {});
      assert.ok(types.length > 0 || status === '204', `${call} ${status}`);
      if (Number(status) < 400 || LIMITS_AND_LOAD.includes(status) || operation.tags?.includes('health')) continue;
      const $ref = `#/components/schemas/${ERROR_OF[operation.tags?.[0] ?? ''] ?? 'Error'}`;
      assert.deepEqual(content, { 'application/json': { schema: { $ref } } });
    }
  }
});

for (const [call, byStatus] of Object.entries(ASKED)) {
  test(`${call} answers as it is documented`, async () => {
    const operation = operationOf(call);
    const guarded = operation.security?.length !== 0;
    const asked: typeof byStatus = { ...byStatus };
    const [path, first] = Object.entries(byStatus).find(([status]) => Number(status) < 300)?.[1] ?? ['/'];
    if (guarded) asked['401'] = [path, { ...first, token: '' }];
    if (guarded && !FOR_ALL.includes(call)) asked['403'] = [path, { ...first, token: tokens.elsewhere }];
    if (OF_ALL.includes(call)) asked['403'] = [path, { token: tokens.ingest }];

    const documented = Object.keys(operation.responses).filter(
      (status) => status !== 'default' && !LIMITS_AND_LOAD.includes(status),
    );
    const exempt = FOR_ALL.includes(call) ? ['403'] : [];
    assert.deepEqual(Object.keys(asked).sort(), documented.filter((status) => !exempt.includes(status)).sort());
    const method = call.split(' ')[0];
    for (const [status, [url, how]] of Object.entries(asked)) {
      const answer = await ask(method, url, how);
      const type = answer.headers.get('content-type') ?? '';
      // It need not end.
      const text = type === 'text/event-stream' ? '' : await answer.text();
      if (text === '') await answer.body?.cancel();
      assert.equal(answer.status, Number(status), `${method} ${url}: ${text.slice(0, 500)}`);
      if (status !== '204') check(operation, { status, type, text });
    }
  });
}

function check(operation: Operation, { status, type, text }: { status: string; type: string; text: string }): void {
  const { content = {} } = operation.responses[status];
  const media = type.split(';')[0];
  assert.ok(Object.hasOwn(content, media), `${type} is none of ${Object.keys(content).join(', ')}`);
  if (media !== 'application/json') return;
  const valid: ValidateFunction = ajv.compile(absolute(content[media].schema ?? {}));
  assert.ok(valid(JSON.parse(text)), `${ajv.errorsText(valid.errors)}: ${text.slice(0, 500)}`);
}

/** References to the document as ajv finds them. */
function absolute(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components')) as object;
}

function operations(): { call: string; operation: Operation }[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ call: `${method.toUpperCase()} ${path}`, operation })),
  );
}

function operationOf(call: string): Operation {
  const found = operations().find((one) => one.call === call);
  assert.ok(found, `${call} is not documented`);
  return found.operation;
}

test('the page to read it has every call and no script, under a policy that allows none', async () => {
  const answer = await fetch(`${relay.url}/docs`);
  const page = await answer.text();
  assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  assert.doesNotMatch(page, /<script|javascript:|\son\w+=/i);
  for (const call of Object.keys(ASKED)) assert.ok(page.includes(`<code>${call}</code>`), call);
  for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) assert.ok(page.includes(`id="${target}"`), target);
});

test('JSON is compressed for clients who take gzip', async () => {
  for (const accepted of ['gzip', 'identity']) {
    const answer = await fetch(`${relay.url}/openapi.json`, { headers: { 'accept-encoding': accepted } });
    assert.equal(answer.headers.get('content-encoding'), accepted === 'gzip' ? 'gzip' : null);
    assert.match(answer.headers.get('vary') ?? '', /Accept-Encoding/);
    assert.deepEqual(await answer.json(), document);
  }
});
