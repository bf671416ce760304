import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { generate } from 'selfsigned';
import { TlsFiles } from '../../../tls.ts';
import { entry, openServer } from './grpc.fixture.ts';

test('TLS has the certificate of the relay, also after it has changed, and open streams go on', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-grpc-'));
  t.after(() => rm(folder, { recursive: true }));
  const paths = { certPath: join(folder, 'tls.crt'), keyPath: join(folder, 'tls.key') };
  const certify = async (): Promise<Buffer> => {
    const made = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec', algorithm: 'sha256' });
    await writeFile(paths.certPath, made.cert);
    await writeFile(paths.keyPath, made.private);
    return Buffer.from(made.cert);
  };
  const first = await certify();
  const log = { info: () => undefined, error: () => undefined };
  const tls = await TlsFiles.open({ ...paths, clientAuth: 'require', log });
  t.after(() => tls.stop());
  const { client } = await openServer(t, { tls });

  const open = client({ channel: credentials.createSsl(first) }).forward();
  open.send(entry('a'));
  await open.answered(1);

  const second = await certify();
  await tls.refresh();
  const later = client({ channel: credentials.createSsl(second) });
  assert.equal((await later.register('w', 't')).status, 'SUCCESS');
  open.send(entry('b'));
  assert.equal((await open.answered(2))[1].status, 'ACK');

  await assert.rejects(client({ channel: credentials.createSsl(first) }).register('w', 't'), { code: 14 });
  await assert.rejects(client().register('w', 't'), { code: 14 });
});
