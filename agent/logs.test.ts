import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import test, { type TestContext } from 'node:test';
import { serveViewers } from '../relay/api/keruta/viewer.fixture.ts';
import { openReading, T0, TestRun, until, type Reading } from '../relay/reading.fixture.ts';
import { KIND_MORE, KIND_REST } from '../shared/line.ts';
import type { LogsFlags } from './cli-flags.ts';
import { showLog } from './logs.ts';

class Sink extends Writable {
  text = '';
  override _write(part: Buffer, _encoding: string, done: () => void): void {
    this.text += part.toString();
    done();
  }
}

interface Shown {
  code: Promise<number>;
  stdout: Sink;
  stderr: Sink;
}

function show(url: string, flags: LogsFlags, task = 't'): Shown {
  const [stdout, stderr] = [new Sink(), new Sink()];
  const config = {
    websocketUrls: [url],
    authToken: undefined,
    apiKey: undefined,
    authType: 'bearer',
    websocketTimeoutMs: 5000,
  } as const;
  const code = showLog({
    config,
    task,
    flags,
    stdout,
    stderr,
    now: () => T0 + 60_000,
    backoff: { minMs: 1, maxMs: 5 },
  });
  return { code, stdout, stderr };
}

/** Shows a log to its end. */
async function shown(
  url: string,
  flags: LogsFlags,
  task?: string,
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = show(url, flags, task);
  return { code: await code, out: stdout.text, err: stderr.text };
}

async function setUp(t: TestContext): Promise<{ reading: Reading; url: string; run: TestRun }> {
  const reading = await openReading(t);
  const { url } = await serveViewers(t, reading);
  return { reading, url, run: await new TestRun(reading, 't').open() };
}

const FOUR = [
  { text: 'one', time: T0 },
  { text: 'two', source: 'stderr', level: 'ERROR', time: T0 + 1000 },
  { text: 'three', time: T0 + 30_000 },
  { text: 'four', source: 'agent', level: 'WARN', time: T0 + 31_000 },
] as const;

for (const { what, flags, out } of [
  { what: 'nothing', flags: {}, out: ['one', 'two', 'three', 'four'] },
  { what: '--from 3', flags: { from: '3' }, out: ['three', 'four'] },
  { what: '--from now', flags: { from: 'now' }, out: [] },
  { what: '--tail 1', flags: { tail: 1 }, out: ['four'] },
  { what: '--level', flags: { level: ['WARN', 'ERROR'] }, out: ['two', 'four'] },
  { what: '--source', flags: { source: ['stdout'] }, out: ['one', 'three'] },
  { what: '--grep', flags: { grep: 'O' }, out: ['one', 'two', 'four'] },
  { what: '--regex', flags: { regex: '^t' }, out: ['two', 'three'] },
  { what: '--since as a duration', flags: { since: '30s' }, out: ['three', 'four'] },
  { what: '--since as a time', flags: { since: '2026-01-02T03:04:06Z' }, out: ['two', 'three', 'four'] },
  { what: '--tail among what matches', flags: { tail: 1, source: ['stdout'] }, out: ['three'] },
  {
    what: '--timestamps',
    flags: { timestamps: true, tail: 2 },
    out: ['2026-01-02T03:04:35.678Z three', '2026-01-02T03:04:36.678Z four'],
  },
  { what: '--color', flags: { color: true }, out: ['one', '\x1b[31mtwo\x1b[0m', 'three', '\x1b[90mfour\x1b[0m'] },
] as { what: string; flags: LogsFlags; out: string[] }[]) {
  test(`with ${what} it prints what there is, and ends`, async (t) => {
    const { url, run } = await setUp(t);
    await run.write(...FOUR);
    const printed = await shown(url, flags);
    assert.deepEqual(printed, { code: 0, out: out.map((line) => `${line}\n`).join(''), err: '' });
  });
}

test('it follows a task that does not exist yet until it has ended', async (t) => {
  const { reading, url } = await setUp(t);
  const following = show(url, { follow: true, exitCode: true }, 'later');
  const run = await new TestRun(reading, 'later').open();
  await run.write('one');
  await until(() => following.stdout.text === 'one\n');
  await run.gap(2);
  await run.write('four');
  await run.end(3);
  assert.equal(await following.code, 3);
  assert.equal(following.stdout.text, 'one\nfour\n');
  assert.equal(following.stderr.text, '--- 2 lines missing (dropped) ---\n');
});

test('the task of a run that failed gives 0 unless its exit code is asked for', async (t) => {
  const { url, run } = await setUp(t);
  await run.write('one');
  await run.end(3);
  assert.deepEqual(await Promise.all([shown(url, {}), shown(url, { exitCode: true })]), [
    { code: 0, out: 'one\n', err: '' },
    { code: 3, out: 'one\n', err: '' },
  ]);
});

test('pieces of a line are joined, and shown as they come', async (t) => {
  const { url, run } = await setUp(t);
  const following = show(url, { follow: true });
  await run.write({ text: 'Password: ', flags: KIND_MORE });
  await until(() => following.stdout.text === 'Password: ');
  await run.write(
    { text: 'ok', flags: KIND_REST },
    'next',
    { text: 'half', flags: KIND_MORE },
    { text: 'other', source: 'stderr' },
  );
  await run.write({ text: 'end', flags: KIND_MORE | KIND_REST });
  await run.end();
  await following.code;
  assert.equal(following.stdout.text, 'Password: ok\nnext\nhalf\nother\nend\n');
});

test('as JSON each message is a line, gaps and the end too', async (t) => {
  const { url, run } = await setUp(t);
  await run.write('one', { text: 'tw', flags: KIND_MORE });
  await run.gap(1);
  await run.end();
  const { out, err } = await shown(url, { json: true });
  const messages = out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    messages.map(({ type, message, more }) => [type, message, more]),
    [
      ['log', 'one', undefined],
      ['log', 'tw', true],
      ['gap', undefined, undefined],
      ['end', undefined, undefined],
    ],
  );
  assert.equal(err, '');
});

for (const { what, flags, task, code, says } of [
  { what: 'an unknown task', flags: {}, task: 'none', code: 1, says: /There is no task "none"/ },
  { what: 'a regular expression that is none', flags: { regex: '(' }, task: 't', code: 2, says: /regular expression/ },
  { what: 'a place that is none', flags: { from: 'there' }, task: 't', code: 2, says: /no place in this store/ },
  { what: 'a time that is none', flags: { since: 'lunch' }, task: 't', code: 2, says: /since is "lunch"/ },
] as { what: string; flags: LogsFlags; task: string; code: number; says: RegExp }[]) {
  test(`${what} is a clear error`, async (t) => {
    const { url } = await setUp(t);
    const printed = await shown(url, flags, task);
    assert.deepEqual([printed.code, printed.out], [code, '']);
    assert.match(printed.err, says);
  });
}

test('a relay that is not there is an error at once, unless following', async () => {
  const dead = await shown('ws://127.0.0.1:1', {});
  assert.equal(dead.code, 1);
  assert.match(dead.err, /can't be reached/);
  const patient = show('ws://127.0.0.1:1', { follow: true });
  await until(() => patient.stderr.text !== '');
  assert.match(patient.stderr.text, /can't be reached.*trying again/);
  patient.stdout.destroy(Object.assign(new Error('enough'), { code: 'EPIPE' }));
  assert.equal(await patient.code, 0);
});

test('it goes on where it was when the connection breaks', async (t) => {
  const reading = await openReading(t);
  const { url, server } = await serveViewers(t, reading);
  const run = await new TestRun(reading, 't').open();
  const following = show(url, { follow: true });
  let expected = '';
  for (let i = 0; i < 20; i++) {
    await run.write(`${i}`);
    expected += `${i}\n`;
    if (i % 4 === 0) {
      await until(() => following.stdout.text === expected);
      for (const client of server.clients) client.terminate();
    }
  }
  await run.end();
  assert.equal(await following.code, 0);
  assert.equal(following.stdout.text, expected);
  assert.equal(following.stderr.text, '');
});

test('a reader of the output that has seen enough ends it quietly', async (t) => {
  const { url, run } = await setUp(t);
  const stderr = new Sink();
  const stdout = new Writable({
    write: (_part, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
  });
  await run.write('one');
  const config = {
    websocketUrls: [url],
    authToken: undefined,
    apiKey: undefined,
    authType: 'bearer',
    websocketTimeoutMs: 5000,
  } as const;
  assert.equal(await showLog({ config, task: 't', flags: { follow: true }, stdout, stderr }), 0);
  assert.equal(stderr.text, '');
});

test('output that is taken slowly is waited for', async (t) => {
  const { url, run } = await setUp(t);
  let held = 0;
  let most = 0;
  let taken = 0;
  const stdout = new Writable({
    highWaterMark: 1024,
    write: (part: Buffer, _encoding, done) => {
      most = Math.max(most, (held = stdout.writableLength));
      taken += part.length;
      setImmediate(done);
    },
  });
  for (let i = 0; i < 40; i++) await run.write(...Array.from({ length: 200 }, () => 'x'.repeat(999)));
  await run.end();
  const config = {
    websocketUrls: [url],
    authToken: undefined,
    apiKey: undefined,
    authType: 'bearer',
    websocketTimeoutMs: 5000,
  } as const;
  assert.equal(await showLog({ config, task: 't', flags: { follow: true }, stdout, stderr: new Sink() }), 0);
  assert.equal(taken, 8_000_000);
  assert.ok(held <= most && most < 6_000_000, `${most} bytes were held`);
});
