import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { digestOf, chunkOf, FakeAgent } from '../relay/ingest.fixture.ts';
import { startRelay, temporaryFolder } from './programs.ts';
import { brokenPromises, STRACE, type Promised } from './trace.ts';

const LINES = 8;
const WAL = 'keruta.db-wal';

const canTrace = spawnSync(STRACE[0], ['-D', '-f', '--seccomp-bpf', '-o', '/dev/null', 'true']).status === 0;
const skip = canTrace
  ? false
  : 'there is no strace on this machine, or it may not trace: fsync before ack is not proven';

test('what the relay answers is on the disk before the answer leaves', { skip, timeout: 60_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const trace = join(folder, 'trace');
  const relay = await startRelay(t, join(folder, 'data'), { under: [...STRACE, '-o', trace] });
  const agent = await FakeAgent.ready(relay.url.replace('http', 'ws'));
  const chunks = Array.from({ length: LINES }, (_, seq) => chunkOf(agent.run, seq, 1));
  for (const [seq, chunk] of chunks.entries()) {
    agent.socket.send(chunk);
    await agent.acked(seq + 1);
  }
  agent.end({ nextSeq: LINES, lines: LINES, bytes: LINES * 'line 0\n'.length, digest: digestOf(chunks) });
  await agent.hears('verified');
  await relay.stop();
  const exited = new RegExp(`^${relay.process.pid} +\\+\\+\\+ exited`, 'm');
  while (!existsSync(trace) || !exited.test(readFileSync(trace, 'utf8'))) await tick();

  const promises: Promised[] = [
    { answer: '{"type":"ready"', needs: agent.run },
    ...chunks.map((_, seq) => ({ answer: `{"type":"ack","nextSeq":${seq + 1}}`, needs: `line ${seq}\\n` })),
    { answer: '{"type":"verified"', needs: 'exited' },
  ];
  assert.deepEqual(brokenPromises(readFileSync(trace, 'utf8'), WAL, promises), []);
});

describe('a relay that answers too soon is found out', () => {
  const write = '7 pwrite64(34</d/keruta.db-wal>, "..line 0\\n..", 4096, 24) = 4096';
  const sync = '7 fdatasync(34</d/keruta.db-wal>) = 0';
  const ack =
    '1 writev(37<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="{\\"type\\":\\"ack\\",\\"nextSeq\\":1}", iov_len=26}], 2) = 28';
  const promise = { answer: '{"type":"ack","nextSeq":1}', needs: 'line 0\\n' };
  const tooSoon = [`${promise.answer} left before ${promise.needs} was durable`];
  const rows: [what: string, trace: string[], broken: string[]][] = [
    ['written, synced, answered', [write, sync, ack], []],
    ['fsync will do', [write, sync.replace('fdatasync', 'fsync'), ack], []],
    ['no sync at all', [write, ack], tooSoon],
    ['the sync follows the answer', [write, ack, sync], tooSoon],
    ['the sync came before the write', [sync, write, ack], tooSoon],
    ['another file is synced', [write, sync.replace('-wal', ''), ack], tooSoon],
    ['the sync fails', [write, sync.replace('= 0', '= -1 EIO (Input/output error)'), ack], tooSoon],
    ['the write fails', [write.replace(/= 4096$/, '= -1 ENOSPC (No space left on device)'), sync, ack], tooSoon],
    ['something else is written', [write.replace('line 0', 'line 1'), sync, ack], tooSoon],
    [
      'the sync has not returned',
      [write, sync.replace(') = 0', ' <unfinished ...>'), ack, '7 <... fdatasync resumed>) = 0'],
      tooSoon,
    ],
    [
      'the sync began before the write',
      ['8 fsync(34</d/keruta.db-wal> <unfinished ...>', write, '8 <... fsync resumed>) = 0', ack],
      tooSoon,
    ],
    [
      'the sync returns in time',
      [write, sync.replace(') = 0', ' <unfinished ...>'), '7 <... fdatasync resumed>) = 0', ack],
      [],
    ],
    [
      'the answer begins before the sync',
      [write, ack.replace(/\) = 28$/, ' <unfinished ...>'), sync, '1 <... writev resumed>) = 28'],
      tooSoon,
    ],
    ['no answer', [write, sync], [`${promise.answer} never left`]],
  ];
  for (const [what, trace, broken] of rows) {
    test(what, () => {
      assert.deepEqual(brokenPromises(trace.join('\n'), WAL, [promise]), broken);
    });
  }
});

/** Lets a moment pass between two looks. */
function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}
