import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportJWK, generateKeyPair } from 'jose';
import { pino } from 'pino';
import { openKeySet } from './key-set-source.ts';
import { KeySet } from './key-set.ts';

const { publicKey } = await generateKeyPair('ES256', { extractable: true });
const jwk = await exportJWK(publicKey);
const setOf = (...kids: string[]): string => JSON.stringify({ keys: kids.map((kid) => ({ ...jwk, kid })) });
/** Asks for the key of this name. */
const find = async (set: KeySet, kid: string) => await set.keyFor({ alg: 'ES256', kid }, {} as never);

/** A source that a test changes, and a clock that it turns. */
function source(first: string | Error): {
  set: KeySet;
  answer: (now: string | Error) => void;
  pass: (ms: number) => void;
  reads: () => number;
  problems: Error[];
} {
  let current = first;
  let now = 0;
  let reads = 0;
  const problems: Error[] = [];
  const set = new KeySet({
    read: () => {
      reads++;
      return current instanceof Error ? Promise.reject(current) : Promise.resolve(current);
    },
    freshMs: 600_000,
    onProblem: (error) => problems.push(error),
    now: () => now,
  });
  return { set, answer: (next) => (current = next), pass: (ms) => (now += ms), reads: () => reads, problems };
}

test('keys are loaded once for all who come at once', async () => {
  const { set, reads } = source(setOf('a'));
  await Promise.all([find(set, 'a'), find(set, 'a')]);
  await find(set, 'a');
  assert.equal(reads(), 1);
});

test('an unknown key makes it look again, not more often than every 10 s', async () => {
  const { set, answer, pass, reads } = source(setOf('a'));
  await find(set, 'a');
  answer(setOf('a', 'b'));
  for (let i = 0; i < 20; i++) await assert.rejects(find(set, 'b'), { code: 'ERR_JWKS_NO_MATCHING_KEY' });
  assert.equal(reads(), 1);
  pass(10_000);
  await find(set, 'b');
  await assert.rejects(find(set, 'c'), { code: 'ERR_JWKS_NO_MATCHING_KEY' });
  assert.equal(reads(), 2);
});

test('what can’t be had at the start is asked for again later, and says so meanwhile', async () => {
  const { set, answer, pass, reads, problems } = source(new Error('down'));
  for (let i = 0; i < 5; i++) await assert.rejects(find(set, 'a'), { code: 'AUTH_UNAVAILABLE' });
  assert.equal(reads(), 1);
  assert.deepEqual(
    problems.map(({ message }) => message),
    ['down'],
  );
  answer(setOf('a'));
  pass(10_000);
  await find(set, 'a');
});

test('old keys serve while new ones can’t be had, for a day', async () => {
  const { set, answer, pass } = source(setOf('a'));
  await find(set, 'a');
  answer(new Error('down'));
  pass(23 * 3_600_000);
  await find(set, 'a');
  await assert.rejects(find(set, 'b'), { code: 'AUTH_UNAVAILABLE' });
  pass(2 * 3_600_000);
  await assert.rejects(find(set, 'a'), { code: 'AUTH_UNAVAILABLE' });
});

for (const [what, text] of [
  ['no JSON', '<html>'],
  ['no key set', '{"keys":7}'],
  ['null', 'null'],
  ['too many keys', JSON.stringify({ keys: Array.from({ length: 101 }, () => jwk) })],
]) {
  test(`an answer that is ${what} counts as none`, async () => {
    const { set, problems } = source(text);
    await assert.rejects(find(set, 'a'), { code: 'AUTH_UNAVAILABLE' });
    assert.equal(problems.length, 1);
  });
}

const log = pino({ level: 'silent' });

test('a file is read again when it has changed, and a broken one changes nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-jwks-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'jwks.json');
  await assert.rejects(openKeySet(path, log), /JWKS file .*jwks\.json can't be used: ENOENT/);
  await writeFile(path, setOf('a'));
  const { keys, refresh, stop } = await openKeySet(path, log);
  await find(keys, 'a');
  await writeFile(path, 'broken');
  await refresh();
  await find(keys, 'a');
  await writeFile(path, setOf('b'));
  await refresh();
  await find(keys, 'b');
  await stop();
});

test('a URL need not answer at the start; no redirection is followed, and no answer is read without end', async (t) => {
  let answer: { status: number; body: string; location?: string } = { status: 503, body: '' };
  const server = createServer((_request, response) => {
    response.writeHead(answer.status, answer.location === undefined ? {} : { location: answer.location });
    response.end(answer.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  for (const bad of [
    answer,
    { status: 302, body: '', location: `${url}?again` },
    { status: 200, body: `{"keys":[],"x":"${'x'.repeat(600_000)}"}` },
  ]) {
    answer = bad;
    const { keys } = await openKeySet(url, log);
    await assert.rejects(find(keys, 'a'), { code: 'AUTH_UNAVAILABLE' });
  }
  answer = { status: 200, body: setOf('a') };
  const { keys, stop } = await openKeySet(url, log);
  await find(keys, 'a');
  await stop();
});
