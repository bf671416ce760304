import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startRelay, temporaryFolder } from '../programs.ts';
import { findLeaks, footprint } from './leaks.ts';

test('what is left behind is found: a connection, a process, files; and nothing is found where nothing is', async (t) => {
  const folder = temporaryFolder(t);
  const data = join(folder, 'relay-data');
  const relay = await startRelay(t, data);
  const pid = relay.process.pid ?? assert.fail('the relay runs');
  const spool = join(folder, 'spool');
  mkdirSync(spool);
  const scripts = join(folder, 'scripts');
  const look = (): Promise<string[]> =>
    findLeaks({
      ...{ relay: { pid, before }, direct: { url: relay.url, grpc: '' }, dataFolder: data, agentPids: [] },
      ...{ spoolFolders: [spool], folder: scripts, patienceMs: 300 },
    });
  const before = footprint(pid);
  assert.deepEqual(await look(), []);

  const socket = connect(relay.port, '127.0.0.1');
  await once(socket, 'connect');
  const script = spawn('sh', ['-c', `: ${scripts}; read line`], { stdio: ['pipe', 'ignore', 'ignore'] });
  t.after(() => script.kill('SIGKILL'));
  writeFileSync(join(spool, '01.spool'), '');
  writeFileSync(join(data, 'core'), '');
  const leaks = (await look()).join('\n');
  for (const leak of [
    /has a connection: port \d+ to port \d+/,
    /process \d+ is left: sh/,
    /spool folder still has .*01\.spool/,
    /relay's folder has .*core/,
  ])
    assert.match(leaks, leak);

  socket.destroy();
});
