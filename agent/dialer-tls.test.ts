import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { testFolder } from './delivery.fixture.ts';
import { dial, testProxy, testServer } from './dialer.fixture.ts';
import { unverifiedWarning, type DialOptions } from './dialer.ts';

interface Pair {
  key: string;
  cert: string;
}

const DAY_MS = 86_400_000;
let authority: Pair;
let stranger: Pair;

before(async () => {
  [authority, stranger] = await Promise.all([certificateAuthority('ours'), certificateAuthority('theirs')]);
});

async function certificateAuthority(name: string): Promise<Pair> {
  const extensions = [
    { name: 'basicConstraints' as const, cA: true, critical: true },
    { name: 'keyUsage' as const, keyCertSign: true, cRLSign: true, critical: true },
  ];
  const { private: key, cert } = await generate([{ name: 'commonName', value: name }], {
    extensions,
    algorithm: 'sha256',
  });
  return { key, cert };
}

async function issued(ca: Pair, { host = 'localhost', fromDays = -1, toDays = 1 } = {}): Promise<Pair> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: host }], {
    ca,
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() + fromDays * DAY_MS),
    notAfterDate: new Date(Date.now() + toDays * DAY_MS),
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: host }] }],
  });
  return { key, cert };
}

/** A file of the test's. */
function file(t: TestContext, text: string): string {
  const path = join(testFolder(t), 'file.pem');
  writeFileSync(path, text);
  return path;
}

async function dialTls(t: TestContext, server: Parameters<typeof testServer>[1], options: Partial<DialOptions>) {
  return dial(t, `wss://localhost:${await testServer(t, server)}/ws/tasks`, options);
}

test('a relay of an authority that is named is trusted', async (t) => {
  const certPath = file(t, authority.cert);
  assert.equal(await dialTls(t, await issued(authority), { certPath }), 'open');
});

const wrong: [what: string, certificate: () => Promise<Pair>, known: () => Pair | undefined, says: RegExp][] = [
  [
    'of nobody that is known',
    () => issued(authority),
    () => undefined,
    /nobody whom this machine knows; name the file .*certPath/,
  ],
  ['of another authority', () => issued(stranger), () => authority, /nobody whom this machine knows/],
  [
    'that has expired',
    () => issued(authority, { fromDays: -2, toDays: -1 }),
    () => authority,
    /that has expired; renew it/,
  ],
  [
    'of tomorrow',
    () => issued(authority, { fromDays: 1, toDays: 2 }),
    () => authority,
    /not valid yet; is this machine's clock right/,
  ],
  [
    'for another name',
    () => issued(authority, { host: 'other.example' }),
    () => authority,
    /is not for localhost; use a name that is in it/,
  ],
];
for (const [what, certificate, known, says] of wrong) {
  test(`a certificate ${what} is said, with what to do`, async (t) => {
    const ca = known();
    const problem = await dialTls(t, await certificate(), ca === undefined ? {} : { certPath: file(t, ca.cert) });
    assert.match(problem, /^the relay at wss:\/\/localhost:\d+\/ws\/tasks shows a certificate/);
    assert.match(problem, says);
  });
}

test('without verification anybody is trusted, which is said', async (t) => {
  assert.equal(await dialTls(t, await issued(stranger), { verifyCert: false }), 'open');
  const urls = ['wss://a/ws', 'ws://b/ws'];
  assert.match(
    unverifiedWarning({ verifyCert: false }, urls) ?? '',
    /^the certificate of wss:\/\/a\/ws is NOT verified/,
  );
  assert.equal(unverifiedWarning({ verifyCert: false }, ['ws://b/ws']), undefined);
  assert.equal(unverifiedWarning({}, urls), undefined);
});

test('a relay that asks for a certificate gets the one that is named, and its absence is said', async (t) => {
  const server = { ...(await issued(authority)), requestCert: true, rejectUnauthorized: true, ca: authority.cert };
  const certPath = file(t, authority.cert);
  const own = await issued(authority, { host: 'agent' });
  const shown = (pair: Pair) => ({ clientCert: file(t, pair.cert), clientKey: file(t, pair.key) });
  assert.equal(await dialTls(t, server, { certPath, ...shown(own) }), 'open');
  assert.match(await dialTls(t, server, { certPath }), /wants a certificate of the agent; give it with .*clientCert/);
});

test('files that can not be used are said by their option', async (t) => {
  const server = await issued(authority);
  const problem = await dialTls(t, server, { certPath: '/nowhere/ca.pem' });
  assert.match(problem, /^can't connect to wss:.*certPath: \/nowhere\/ca\.pem can't be read: ENOENT/);
  const key = file(t, 'geheim');
  const bad = await dialTls(t, server, { clientCert: file(t, server.cert), clientKey: key });
  assert.match(bad, /clientKey: .* holds no private key in PEM format/);
  assert.doesNotMatch(bad, /geheim/);
});

test('a pipe, which nobody may ever write, is not opened', async (t) => {
  const certPath = join(testFolder(t), 'pipe');
  execFileSync('mkfifo', [certPath]);
  assert.match(await dialTls(t, await issued(authority), { certPath }), /pipe can't be read: it is no file/);
});

test('a relay that speaks no TLS is said', async (t) => {
  const problem = await dial(t, `wss://localhost:${await testServer(t)}/ws/tasks`);
  assert.match(problem, /does not speak TLS at this address; is it ws:\/\/ instead of wss:\/\/\?/);
});

test('TLS goes through a proxy, end to end', async (t) => {
  const proxy = await testProxy(t, await testServer(t, await issued(authority, { host: 'relay.invalid' })));
  const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` };
  const certPath = file(t, authority.cert);
  assert.equal(await dial(t, 'wss://relay.invalid/ws/tasks', { env, certPath }), 'open');
  assert.match(await dial(t, 'wss://relay.invalid/ws/tasks', { env }), /nobody whom this machine knows/);
  assert.deepEqual(proxy.asked, ['relay.invalid:443 -', 'relay.invalid:443 -']);
});

test('requests over HTTP are verified, and go through proxies, in the same way', async (t) => {
  const proxy = await testProxy(t, await testServer(t, await issued(authority, { host: 'relay.invalid' })));
  const options = { env: { HTTPS_PROXY: `http://u:geheim@127.0.0.1:${proxy.port}` }, httpFallback: 'always' } as const;
  const url = 'wss://relay.invalid/ws/tasks';
  assert.match(
    await dial(t, url, { ...options, certPath: file(t, authority.cert) }),
    /nothing at this path \(HTTP 404\)/,
  );
  assert.match(await dial(t, url, options), /through the proxy .*nobody whom this machine knows/);
  const basic = Buffer.from('u:geheim').toString('base64');
  assert.deepEqual(proxy.asked, Array(2).fill(`relay.invalid:443 Basic ${basic}`));
  assert.match(
    await dialTls(t, await issued(authority), { certPath: file(t, authority.cert), httpFallback: 'always' }),
    /nothing at this path/,
  );
});
