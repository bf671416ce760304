import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { pino } from 'pino';
import { generate } from 'selfsigned';
import { WebSocket } from 'ws';
import { Auth } from './auth/auth.ts';
import { doorOf } from './auth/door.fixture.ts';
import { Sessions } from './auth/sessions.ts';
import { Health } from './health.ts';
import { startServer, type Server } from './server.ts';
import { openTls, TlsFiles } from './tls.ts';

interface Pair {
  cert: string;
  private: string;
}

let folder: string;
let ca: Pair;
let mine: Pair;
let client: Pair;
let foreign: Pair;
const logged: string[] = [];
const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) });

const named = (name: string, more: object = {}): Promise<Pair> =>
  generate([{ name: 'commonName', value: name }], { keyType: 'ec', algorithm: 'sha256', ...more });

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-tls-'));
  ca = await named('clients', { extensions: [{ name: 'basicConstraints', cA: true }] });
  mine = await named('localhost');
  client = await named('runner 7', { clientCertificate: false, ca: { key: ca.private, cert: ca.cert } });
  foreign = await named('stranger');
});
after(() => rm(folder, { recursive: true }));

async function files(name: string, { cert, private: key }: Pair, clientCa?: string) {
  const paths = { certPath: join(folder, `${name}.crt`), keyPath: join(folder, `${name}.key`) };
  await writeFile(paths.certPath, cert);
  await writeFile(paths.keyPath, key);
  if (clientCa === undefined) return paths;
  const clientCaPath = join(folder, `${name}.ca`);
  await writeFile(clientCaPath, clientCa);
  return { ...paths, clientCaPath };
}

async function serve(tls: TlsFiles, more: { auth?: Auth; scopes?: ('ingest' | 'read')[] } = {}): Promise<Server> {
  const finding = () => ({ healthy: true, message: '' });
  return await startServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    tls,
    door: doorOf(more.auth ?? new Auth({}), { certificateScopes: more.scopes ?? [] }),
    sessions: new Sessions(),
    health: new Health({ store: finding, disk: finding, eventLoop: finding }),
    routes: (api) => void api.get('/who', ({ caller }) => ({ who: caller.principal.name })),
    agents: { accept: (socket) => socket.send('hello'), stop: () => Promise.resolve() },
    serveViewer: (socket) => socket.send('hello'),
    log,
    version: '1',
  });
}

async function get(
  url: string,
  options: RequestOptions,
): Promise<{ status?: number; text: string; cert: string; headers: object }> {
  const request = httpsRequest(url, { agent: false, ...options }).end();
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  assert.ok(response.socket instanceof TLSSocket);
  const cert = response.socket.getPeerCertificate().fingerprint256;
  const text = Buffer.concat(await response.toArray()).toString();
  return { status: response.statusCode, text, cert, headers: response.headers };
}

test('speaks HTTPS and WSS, with HSTS, and nothing older than TLS 1.2', async (t) => {
  const tls = await TlsFiles.open({ ...(await files('plain', mine)), clientAuth: 'require', log });
  const server = await serve(tls);
  t.after(async () => {
    await server.stop();
    await tls.stop();
  });
  assert.match(server.url, /^https:/);
  const answer = await get(`${server.url}/api/v1/who`, { ca: mine.cert, servername: 'localhost' });
  assert.equal(answer.status, 200);
  assert.ok('strict-transport-security' in answer.headers);

  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws/tasks/t`, 'keruta.chunk.v1', {
    // The certificate names no address.
    rejectUnauthorized: false,
  });
  await once(socket, 'message');
  socket.terminate();

  const old = connect({
    port: Number(new URL(server.url).port),
    ca: mine.cert,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT:@SECLEVEL=0',
    servername: 'localhost',
  });
  await assert.rejects(once(old, 'secureConnect'), { code: /ALERT|PROTOCOL/ });
  await assert.rejects(fetch(server.url.replace('https', 'http')), 'plain HTTP');
});

test('takes a new certificate without dropping connections; a broken one changes nothing and is logged', async (t) => {
  const paths = await files('renewed', mine);
  const tls = await TlsFiles.open({ ...paths, clientAuth: 'require', log });
  const server = await serve(tls);
  t.after(async () => {
    await server.stop();
    await tls.stop();
  });
  const trusting = { rejectUnauthorized: false };
  const url = `${server.url}/api/v1/who`;
  const viewer = new WebSocket(`${server.url.replace('http', 'ws')}/ws/tasks/t`, trusting);
  await once(viewer, 'message');
  const first = await get(url, trusting);

  await writeFile(paths.certPath, foreign.cert);
  await tls.refresh();
  assert.equal((await get(url, trusting)).cert, first.cert, 'a certificate without its key');
  assert.match(logged.join(''), /the TLS certificate stays as it was/);

  await writeFile(paths.keyPath, foreign.private);
  await tls.refresh();
  assert.notEqual((await get(url, trusting)).cert, first.cert);
  viewer.ping();
  await once(viewer, 'pong');
  viewer.terminate();
  assert.ok(!logged.join('').includes('PRIVATE KEY'));
});

test('with mutual TLS, who has no certificate of the client CA gets no connection', async (t) => {
  const tls = await TlsFiles.open({ ...(await files('mutual', mine, ca.cert)), clientAuth: 'require', log });
  const server = await serve(tls, { auth: new Auth({ certificates: true }), scopes: ['read'] });
  t.after(async () => {
    await server.stop();
    await tls.stop();
  });
  const url = `${server.url}/api/v1/who`;
  const known = { rejectUnauthorized: false, cert: client.cert, key: client.private };
  assert.equal((await get(url, known)).text, '{"who":"cert:runner?7"}');
  const foreignPage = { ...known, headers: { origin: 'https://evil.example' } };
  assert.equal((await get(url, foreignPage)).status, 401, 'browsers bring certificates for whichever page asks');
  await assert.rejects(get(url, { rejectUnauthorized: false }));
  await assert.rejects(get(url, { rejectUnauthorized: false, cert: foreign.cert, key: foreign.private }));
});

test('where certificates are only requested, a token does as well, and a foreign certificate is worth nothing', async (t) => {
  const tls = await TlsFiles.open({ ...(await files('asked', mine, ca.cert)), clientAuth: 'request', log });
  const server = await serve(tls, { auth: new Auth({ certificates: true, tokens: ['right'] }), scopes: ['ingest'] });
  t.after(async () => {
    await server.stop();
    await tls.stop();
  });
  const url = `${server.url}/api/v1/who`;
  const rejectUnauthorized = false;
  const headers = { authorization: 'Bearer right' };
  const byCertificate = { rejectUnauthorized, cert: client.cert, key: client.private };
  const foreignOne = { rejectUnauthorized, cert: foreign.cert, key: foreign.private };
  assert.equal((await get(url, { rejectUnauthorized, headers })).text, '{"who":"token:1"}');
  assert.equal((await get(url, byCertificate)).text, '{"who":"cert:runner?7"}');
  assert.equal((await get(url, { ...byCertificate, headers })).text, '{"who":"token:1"}', 'a token is meant');
  assert.equal((await get(url, { rejectUnauthorized })).status, 401);
  assert.equal((await get(url, foreignOne)).status, 401);
});

const NONE = { tlsClientAuth: 'require' } as const;
const wrong: [string, () => Promise<unknown>, RegExp][] = [
  ['a certificate without a key', () => openTls({ ...NONE, tlsCert: '/c' }, log), /--tls-key .*is missing/],
  ['a client CA alone', () => openTls({ ...NONE, tlsClientCa: '/c' }, log), /--tls-cert .*is missing/],
  [
    'a file that is not there',
    () => openTls({ ...NONE, tlsCert: '/no/c', tlsKey: '/no/k' }, log),
    /certificate \/no\/c can't be read: ENOENT/,
  ],
  [
    'a file that is no PEM',
    async () => openTls({ ...NONE, tlsCert: import.meta.filename, tlsKey: '/no/k' }, log),
    /can't be read|is not PEM/,
  ],
  [
    'a certificate and the key of another',
    async () => {
      const { certPath, keyPath } = await files('mixed', { cert: mine.cert, private: foreign.private });
      return await openTls({ ...NONE, tlsCert: certPath, tlsKey: keyPath }, log);
    },
    /mixed\.crt.*mixed\.key can't be used together/,
  ],
];
for (const [what, open, message] of wrong) {
  test(`no relay starts with ${what}`, async () => {
    await assert.rejects(open(), message);
  });
}

test('none is asked for: plain HTTP', async () => {
  assert.equal(await openTls(NONE, log), undefined);
});
