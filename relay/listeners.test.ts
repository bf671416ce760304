import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { listenAddresses, listenUrl, parseListenAddress, isLocal } from './listen-address.ts';
import { Listeners } from './listeners.ts';

let folder: string;
let listeners: Listeners;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-listen-'));
});
after(() => rm(folder, { recursive: true }));
afterEach(() => listeners.close(1000));

function fresh(): Listeners {
  listeners = new Listeners({
    tls: undefined,
    http: {},
    onConnection: () => undefined,
    onRequest: (_request, response) => response.end('here'),
    onUpgrade: (_request, socket) => socket.destroy(),
    onClientError: (_error, socket) => socket.destroy(),
  });
  return listeners;
}

async function askUnix(socketPath: string): Promise<string> {
  const [response] = (await once(request({ socketPath, path: '/', agent: false }).end(), 'response')) as [
    import('node:http').IncomingMessage,
  ];
  return Buffer.concat(await response.toArray()).toString();
}

test('listens on several addresses and on a Unix socket, which is gone afterwards', async () => {
  const path = join(folder, 'a.sock');
  const urls = await fresh().listen([{ host: '127.0.0.1', port: 0 }, { host: 'localhost', port: 0 }, { path }]);
  assert.match(urls[0], /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.match(urls[1], /^http:\/\/localhost:[1-9]\d*$/);
  assert.equal(urls[2], `unix:${path}`);
  for (const url of urls.slice(0, 2)) assert.equal(await (await fetch(url)).text(), 'here');
  assert.equal(await askUnix(path), 'here');
  await listeners.close(1000);
  assert.equal(existsSync(path), false);
});

test('what somebody else closes in order is not cut before that is done', async () => {
  const [url] = await fresh().listen([{ host: '127.0.0.1', port: 0 }]);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  // Half a request: it is not idle.
  socket.write('GET / HTTP/1.1\r\n');
  const cut = once(socket, 'close');
  const before = Promise.withResolvers<undefined>();
  let isCut = false;
  void cut.then(() => (isCut = true));
  const closed = listeners.close(0, before.promise);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(isCut, false);
  before.resolve(undefined);
  await Promise.all([cut, closed]);
});

test('a socket that a killed process left is taken over, one that is used is not', async () => {
  const path = join(folder, 'b.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  assert.ok(existsSync(path));
  await fresh().listen([{ path }]);
  const first = listeners;
  await assert.rejects(fresh().listen([{ path }]), /the socket .*b\.sock is already in use/);
  assert.equal(await askUnix(path), 'here');
  await first.close(1000);
});

test('a file that is no socket is left as it is', async () => {
  const path = join(folder, 'keruta.db');
  await writeFile(path, 'logs');
  await assert.rejects(fresh().listen([{ path }]), /the socket .*keruta\.db is already in use/);
  assert.equal(await readFile(path, 'utf8'), 'logs');
});

test('if one address can’t be had, none is kept', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const path = join(folder, 'c.sock');
  await assert.rejects(
    fresh().listen([{ path }, { host: '127.0.0.1', port }]),
    new RegExp(`port ${port} of 127\\.0\\.0\\.1 is already in use`),
  );
  await listeners.close(1000);
  assert.equal(existsSync(path), false);
});

test('an address that no machine has is named', async () => {
  await assert.rejects(fresh().listen([{ host: '192.0.2.1', port: 0 }]), /this machine has no address 192\.0\.2\.1/);
});

const texts: [string, string | undefined, 'local' | 'not local'][] = [
  ['127.0.0.1:80', 'http://127.0.0.1:80', 'local'],
  ['localhost:80', 'http://localhost:80', 'local'],
  ['[::1]:80', 'http://[::1]:80', 'local'],
  ['unix:/run/k.sock', 'unix:/run/k.sock', 'local'],
  ['0.0.0.0:0', 'http://0.0.0.0:0', 'not local'],
  ['[::]:80', 'http://[::]:80', 'not local'],
  ['[::ffff:127.0.0.1]:80', 'http://[::ffff:127.0.0.1]:80', 'local'],
  ['logs.example:80', 'http://logs.example:80', 'not local'],
  ['localhost.evil.example:80', 'http://localhost.evil.example:80', 'not local'],
  ['::1:80', undefined, 'not local'],
  ['[127.0.0.1]:80', undefined, 'not local'],
  ['127.0.0.1', undefined, 'not local'],
  ['127.0.0.1:65536', undefined, 'not local'],
  ['unix:relative', undefined, 'not local'],
  [':80', undefined, 'not local'],
];
for (const [text, url, local] of texts) {
  test(`${JSON.stringify(text)} is ${url ?? 'no address'}, ${local}`, () => {
    const address = parseListenAddress(text);
    assert.equal(address && listenUrl(address, { tls: false }), url);
    assert.equal(address !== undefined && isLocal(address), local === 'local');
  });
}

test('a list stands for host and port', () => {
  const config = { host: '127.0.0.1', port: 1, listen: [] as string[] };
  assert.deepEqual(listenAddresses(config), [{ host: '127.0.0.1', port: 1 }]);
  assert.deepEqual(listenAddresses({ ...config, listen: ['[::1]:2'] }), [{ host: '::1', port: 2 }]);
});
