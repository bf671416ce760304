import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { relayEnv, startAgent, startRelay, temporaryFolder, type AgentRun } from './programs.ts';

const CONCURRENT = { timeout: 60_000, concurrency: 2 };

/** A run that goes on until `end` is called, with its local port's address. */
async function running(t: TestContext, env: Record<string, string>, args: string[] = []) {
  const go = join(temporaryFolder(t), 'go');
  const script = `echo a; echo "ERROR b" >&2; i=0; until test -e ${go} || test $((i+=1)) -gt 300; do sleep 0.1; done`;
  const job = ['execute', '--task-id', 't', '--local-port', '0', ...args, '--', 'sh', '-c', script];
  const agent = startAgent(t, job, { env });
  const [, url] = await agent.stderr.has(/at (http:\/\/127\.0\.0\.1:\d+)\/metrics\n/);
  const end = (): AgentRun['result'] => {
    writeFileSync(go, '');
    return agent.result;
  };
  return { url, end };
}

/** Of a request for what need not be a path. */
async function statusOf(url: string, path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(url);
  const asked = request({ hostname, port, path });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

/** Until a figure has the value: the line has come that far. */
async function figure(url: string, line: string): Promise<void> {
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    if (text.split('\n').includes(line)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('the local port', CONCURRENT, () => {
  test('counts what was captured, acknowledged and connected', async (t) => {
    const folder = temporaryFolder(t);
    const relay = await startRelay(t, join(folder, 'data'));
    const { url, end } = await running(t, relayEnv(relay, join(folder, 'spool')), ['--drain-timeout', '100ms']);
    for (const line of [
      'keruta_logs_total{source="stdout",level="INFO"} 1',
      'keruta_logs_total{source="stderr",level="ERROR"} 1',
      'keruta_link_connected 1',
      'keruta_link_connections_total 1',
      'keruta_buffer_size{type="lines"} 0',
      'keruta_script_running 1',
    ])
      await figure(url, line);
    const health = await fetch(`${url}/health`);
    const { status, checks } = (await health.json()) as { status: string; checks: object };
    assert.deepEqual([health.status, status, Object.keys(checks)], [200, 'healthy', ['spool', 'link', 'script']]);
    await relay.kill();
    await figure(url, 'keruta_link_connected 0');
    await figure(url, 'keruta_errors_total{type="cut"} 1');
    assert.equal((await fetch(`${url}/health`)).status, 503);
    assert.equal((await end()).exitCode, 0);
  });

  test('answers nothing else, and nobody who calls it by another name', async (t) => {
    const { url, end } = await running(t, {}, ['--disable-log-streaming']);
    for (const [method, path, host, status] of [
      ['GET', '/', 'localhost', 404],
      ['POST', '/metrics', 'localhost', 404],
      ['POST', '/debug/gc', 'localhost', 404],
      ['GET', '/metrics', 'rebound.example', 403],
    ] as const) {
      const asked = request(`${url}${path}`, { method, headers: { host } });
      asked.end();
      const [{ statusCode }] = (await once(asked, 'response')) as [{ statusCode: number }];
      assert.equal(statusCode, status, `${method} ${path} as ${host}`);
    }
    assert.equal((await end()).exitCode, 0);
  });

  test('has what is for debugging, when that is switched on', async (t) => {
    const { url, end } = await running(t, {}, ['--disable-log-streaming', '--debug']);
    const garbage = (await (await fetch(`${url}/debug/gc`, { method: 'POST' })).json()) as object;
    assert.deepEqual(Object.keys(garbage), ['before', 'after', 'ms']);
    const profile = (await (await fetch(`${url}/debug/pprof/profile?seconds=1`)).json()) as object;
    assert.ok('nodes' in profile);
    assert.equal((await fetch(`${url}/debug/pprof/profile?seconds=61`)).status, 400);
    assert.equal(await statusOf(url, '//'), 404);
    const heap = await fetch(`${url}/debug/pprof/heap`);
    assert.match(await heap.text(), /^\{"snapshot":/);
    assert.equal((await end()).exitCode, 0);
  });

  test('that is taken already is said, and the script runs', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const port = String((server.address() as AddressInfo).port);
    const job = ['execute', '--task-id', 't', '--disable-log-streaming', '--local-port', port, '--', 'echo', 'a'];
    const { exitCode, stdout, stderr } = await startAgent(t, job).result;
    assert.deepEqual([exitCode, stdout], [0, 'a\n']);
    assert.equal(stderr, `keruta-agent: there is no local port: 127.0.0.1:${port} can't be had (EADDRINUSE)\n`);
  });
});
