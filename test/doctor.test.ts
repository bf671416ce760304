import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { SYSTEM_TASK } from '../relay/system-task.ts';
import { relayEnv, runAgent, startRelay, temporaryFolder } from './programs.ts';

const CONCURRENT = { timeout: 60_000, concurrency: 2 };

interface Check {
  name: string;
  state: string;
  found: string;
  advice?: string;
}

async function doctor(t: TestContext, env: Record<string, string>, args: string[] = []) {
  const { exitCode, stdout } = await runAgent(t, ['doctor', '--json', ...args], { env });
  const checks = JSON.parse(stdout) as Check[];
  return { exitCode, check: (name: string) => checks.find((one) => one.name === name) };
}

describe('doctor', CONCURRENT, () => {
  test('finds nothing wrong where nothing is, and leaves no task behind', async (t) => {
    const folder = temporaryFolder(t);
    const relay = await startRelay(t, join(folder, 'data'));
    const env = relayEnv(relay, join(folder, 'spool'));
    const { exitCode, stdout } = await runAgent(t, ['doctor'], { env });
    assert.equal(exitCode, 0, stdout);
    const names = stdout.split('\n').map((line) => /^✓ (\w+)/.exec(line)?.[1]);
    assert.deepEqual(
      names.filter((name) => name !== undefined && name !== 'spool'),
      ['node', 'config', 'room', 'waiting', 'relay', 'clock', 'token', 'link'],
    );
    const tasks = (await (await fetch(`${relay.url}/api/v1/tasks`)).json()) as { content: { taskId: string }[] };
    assert.deepEqual(
      tasks.content.map(({ taskId }) => taskId).filter((taskId) => taskId !== SYSTEM_TASK),
      [],
    );
  });

  test('says that a token is missing, wrong, or good, and never what it is', async (t) => {
    const folder = temporaryFolder(t);
    const token = 'right-token-0123456789';
    const relay = await startRelay(t, join(folder, 'data'), { env: { KERUTA_RELAY_AUTH_TOKENS: token } });
    const env = relayEnv(relay, join(folder, 'spool'));
    const rows: [given: Record<string, string>, exitCode: number, found: RegExp][] = [
      [{}, 1, /wants a token that it knows \(HTTP 401\)/],
      [{ KERUTA_AUTH_TOKEN: 'wrong-token-0123456789' }, 1, /wants a token that it knows \(HTTP 401\)/],
      [{ KERUTA_AUTH_TOKEN: token }, 0, /answers$/],
    ];
    for (const [given, exitCode, found] of rows) {
      const answer = await doctor(t, { ...env, ...given });
      assert.equal(answer.exitCode, exitCode);
      assert.match(answer.check('relay')?.found ?? '', found);
      assert.doesNotMatch(JSON.stringify(answer), /-token-0123/);
    }
  });

  test('says that nobody is there', async (t) => {
    const env = { ...relayEnv({ url: 'http://127.0.0.1:9' }, temporaryFolder(t)) };
    const { exitCode, check } = await doctor(t, env);
    assert.equal(exitCode, 1);
    assert.match(check('relay')?.found ?? '', /^the relay at http:\/\/127\.0\.0\.1:9\/api\/v1 can't be reached/);
  });

  test('says that somebody else is there', async (t) => {
    const server = createServer((_request, response) => response.writeHead(404).end('no such page')).listen(
      0,
      '127.0.0.1',
    );
    t.after(() => server.close());
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { exitCode, check } = await doctor(t, relayEnv({ url }, temporaryFolder(t)));
    assert.equal(exitCode, 1);
    assert.match(check('relay')?.found ?? '', /has nothing at this path \(HTTP 404\)/);
  });

  test('gives up whoever answers for ever, a little at a time', async (t) => {
    const server = createServer((_request, response) => {
      const timer = setInterval(() => response.write('{'), 50);
      response.on('close', () => clearInterval(timer));
    }).listen(0, '127.0.0.1');
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const env = { ...relayEnv({ url }, temporaryFolder(t)), KERUTA_API_TIMEOUT: '500ms' };
    const { exitCode, check } = await doctor(t, env);
    assert.equal(exitCode, 1);
    assert.match(check('relay')?.found ?? '', /can't be reached \(The operation was aborted due to timeout\)/);
  });

  test('sees that the clocks differ', async (t) => {
    const whoami = { name: 'anonymous', grants: [{ scope: 'admin', tasks: null, labels: {} }], expiresAt: null };
    const server = createServer((_request, response) => {
      response.writeHead(200, { date: new Date(Date.now() + 3_600_000).toUTCString(), connection: 'close' });
      response.end(JSON.stringify(whoami));
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { check } = await doctor(t, relayEnv({ url }, temporaryFolder(t)));
    assert.match(check('clock')?.found ?? '', /^this machine's clock is 3(599|600)\.\d s behind the relay's$/);
    assert.equal(check('clock')?.state, 'warning');
  });
});
