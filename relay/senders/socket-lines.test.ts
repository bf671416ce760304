import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { openReading, T0, type Reading } from '../reading.fixture.ts';
import type { Senders, SendersOptions } from './senders.ts';
import { line, openSenders, SOMEBODY } from './senders.fixture.ts';
import { UNLIMITED } from './sender-limits.ts';
import { SocketLines } from './socket-lines.ts';
import { readStatus } from './task-status.ts';

interface Sending {
  reading: Reading;
  senders: Senders;
  clock: { now: number };
  lines: SocketLines;
  say: (task: string, status: string) => Promise<void>;
}

async function setUp(t: TestContext, options: Partial<SendersOptions> = {}): Promise<Sending> {
  const reading = await openReading(t);
  const clock = { now: T0 };
  const senders = await openSenders(t, reading, { now: () => clock.now, ...options });
  const lines = new SocketLines({
    senders,
    gone: new AbortController().signal,
    onStored: () => undefined,
    // The store closes before all is stored.
    onFailed: () => undefined,
  });
  const say = (task: string, status: string) => lines.status(task, readStatus({ status }), SOMEBODY);
  return { reading, senders, clock, lines, say };
}

test('a socket may send many tasks one after the other, as long as each comes to its end', async (t) => {
  const { reading, senders, clock, lines, say } = await setUp(t);
  for (let i = 0; i < 100; i++) await lines.line(`t${i}`, line('a'), SOMEBODY);
  await assert.rejects(lines.line('one too many', line('a'), SOMEBODY), /100 tasks at once/);
  await say('t7', 'COMPLETED');
  clock.now += 1000;
  await senders.sweep();
  while ((await reading.store.head('t7'))?.status !== 'succeeded');
  await lines.line('another', line('a'), SOMEBODY);
  await assert.rejects(lines.line('one too many', line('a'), SOMEBODY), /100 tasks at once/);
});

test('a task that is only announced counts as one of the token’s', async (t) => {
  const task = (): never => {
    throw new KerutaError('RATE_LIMIT_EXCEEDED', 'This token has written to 1 tasks within a day.');
  };
  const { reading, say } = await setUp(t, { limits: { ...UNLIMITED, task } });
  await assert.rejects(say('t', 'PENDING'), /within a day/);
  assert.equal(await reading.store.task('t'), undefined);
});
