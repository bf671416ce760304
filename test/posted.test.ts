import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { request } from 'undici';
import { startRelay, temporaryFolder, type RelayProcess } from './programs.ts';
import { Random } from './random.ts';

const OPTIONS = { timeout: 60_000 };

interface Post {
  key: string;
  lines: string[];
}

/** Posts until it is answered; false if the relay went before. */
async function post({ url }: RelayProcess, { key, lines }: Post): Promise<boolean> {
  try {
    const { statusCode, body } = await request(`${url}/api/v1/tasks/t/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(lines.map((message) => ({ level: 'INFO', message }))),
    });
    const answer = await body.text();
    assert.equal(statusCode, 201, answer);
    assert.deepEqual(JSON.parse(answer), { accepted: lines.length });
    return true;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return false;
  }
}

async function messages({ url }: RelayProcess): Promise<string[]> {
  const { body } = await request(`${url}/api/v1/tasks/t/logs?size=1000`);
  const { content } = (await body.json()) as { content: { message: string }[] };
  return content.map(({ message }) => message);
}

for (const seed of [1, 2]) {
  test(`posts under a key to a relay that is killed meanwhile: each stored once (seed ${seed})`, OPTIONS, async (t) => {
    const random = new Random(seed);
    const data = join(temporaryFolder(t), 'data');
    let relay = await startRelay(t, data);
    let open = Array.from({ length: 60 }, (_, i): Post => ({ key: `k${i}`, lines: [`${i} a`, `${i} b`] }));
    const all = open.flatMap(({ lines }) => lines);
    for (let kill = 0; kill < 3; kill++) {
      const batch = open.slice(0, 20);
      const answers = batch.map((one) => post(relay, one));
      // Some have been answered by then, some are stored, some under way, some not there yet.
      await Promise.all(answers.slice(0, random.below(10)));
      await relay.kill();
      const answered = await Promise.all(answers);
      const done = new Set(batch.filter((_, i) => answered[i]));
      open = open.filter((one) => !done.has(one));
      relay = await startRelay(t, data, { port: relay.port });
    }
    for (const one of open) assert.equal(await post(relay, one), true);
    assert.deepEqual((await messages(relay)).sort(), all.sort());
    const { body } = await request(`${relay.url}/api/v1/tasks/t`);
    const { runs } = (await body.json()) as { runs: { verified: boolean | null; reason: string | null }[] };
    assert.ok(runs.every(({ verified, reason }) => verified !== false && reason !== 'agent-died'));
  });
}

test('what was answered is there after SIGKILL, and the run of posted lines goes on', OPTIONS, async (t) => {
  const data = join(temporaryFolder(t), 'data');
  const send = async ({ url }: RelayProcess, path: string, method: 'POST' | 'PUT', body: object): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await request(`${url}/api/v1/tasks/t/${path}`, { method, headers, body: JSON.stringify(body) });
    await answer.body.dump();
    return answer.statusCode;
  };
  const relay = await startRelay(t, data);
  assert.equal(await send(relay, 'status', 'PUT', { status: 'PROCESSING' }), 200);
  assert.equal(await send(relay, 'logs', 'POST', { level: 'INFO', message: 'a' }), 201);
  await relay.kill();
  const again = await startRelay(t, data);
  assert.equal(await send(again, 'logs', 'POST', { level: 'INFO', message: 'b' }), 201);
  assert.equal(await send(again, 'status', 'PUT', { status: 'COMPLETED' }), 200);
  assert.deepEqual(await messages(again), ['a', 'b']);
  const { body } = await request(`${again.url}/api/v1/tasks/t`);
  const { status, runs } = (await body.json()) as { status: string; runs: { lines: number; verified: boolean }[] };
  assert.deepEqual([status, runs.map(({ lines, verified }) => [lines, verified])], ['succeeded', [[2, true]]]);
});
