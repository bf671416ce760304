import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { relayEnv, runAgent, startRelay, temporaryFolder } from './programs.ts';
import { spoolBytes, spoolFiles } from './spools.ts';
import { readLines, readTask } from './viewer.ts';

const OPTIONS = { timeout: 60_000 };
const task = 't';

/** Not real ones. Each is known for another reason. */
const SECRETS = {
  byName: 'correct-horse-battery-1',
  byUrl: 'Pa55-in-a-url',
  byMask: 'masked-by-a-flag-2',
  byMaskFile: 'masked-by-a-file-3',
  own: 'the-agents-own-token-4',
  github: `ghp_${'a1B2'.repeat(9)}`,
  aws: `AKIA${'ABCD2345'.repeat(2)}`,
  jwt: ['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiIxIn0', 'c2lnbmF0dXJl'].join('.'),
};
/** The lines of a key that nobody has named. */
const KEY = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey;
const KEY_LINES = KEY.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
const IN_BASE64 = Buffer.from(SECRETS.byName).toString('base64').replace(/=+$/, '');

/** What is no secret must come through: it shows that looking for the others would find them. */
const PLAIN = 'nothing-to-hide-here';

const env = {
  DEPLOY_TOKEN: SECRETS.byName,
  DATABASE_URL: `postgres://app:${SECRETS.byUrl}@db/prod`,
  KERUTA_AUTH_TOKEN: SECRETS.own,
};

/** Each secret on stdout, on stderr, without a line end in between, and one letter at a time. */
const SCRIPT = `
for word in "$@" "$DEPLOY_TOKEN" "$DATABASE_URL" "$KERUTA_AUTH_TOKEN"; do
  echo "out $word."
  echo "err $word." >&2
done
printf %s "$DEPLOY_TOKEN$DEPLOY_TOKEN"; echo
for i in $(seq 1 \${#DEPLOY_TOKEN}); do printf %s "$(printf %s "$DEPLOY_TOKEN" | cut -c $i)"; done
echo`;

const { github, aws, jwt, byMask, byMaskFile } = SECRETS;
const WORDS = [PLAIN, github, aws, jwt, byMask, byMaskFile, IN_BASE64, KEY, JSON.stringify({ key: KEY })];

function execute(folder: string): string[] {
  const masks = join(folder, 'masks');
  writeFileSync(masks, `${SECRETS.byMaskFile}\n`);
  return [
    ...['execute', '--task-id', task, '--mask', SECRETS.byMask, '--mask', `@${masks}`],
    ...['--label', `deployed-with=${SECRETS.byName}`, '--label', `plain=${PLAIN}`, '--task-name', `job ${github}`],
    ...['--pipeline-id', `p-${SECRETS.byName}`, '--worker-id', `w-${SECRETS.byMask}`],
    ...['--', 'sh', '-c', SCRIPT, 'job', ...WORDS],
  ];
}

test('no secret reaches the tee, the relay, what it records of the run, or its disk', OPTIONS, async (t) => {
  const folder = temporaryFolder(t);
  const data = join(folder, 'data');
  const relay = await startRelay(t, data);
  const { exitCode, stdout, stderr } = await runAgent(t, execute(folder), {
    env: { ...env, ...relayEnv(relay, join(folder, 'spool')) },
  });
  assert.equal(exitCode, 0, stderr);
  assertClean('the tee', stdout + stderr);

  const place = { url: relay.url, task };
  const lines = await readLines(place);
  assertClean('the log', lines.join('\n'));
  assert.ok(lines.includes('out ***.'));
  assert.ok(lines.includes('******'), 'two secrets in a row');
  // Up to three letters may show where a machine is slow: a prompt must not be held for long.
  assert.ok(
    lines.some((line) => /^c?o?r?\*\*\*$/.test(line)),
    'letter by letter',
  );
  assert.ok(lines.includes('out postgres://app:***@db/prod.') || lines.includes('out ***.'));

  const view = await readTask(place);
  assertClean('the task', JSON.stringify(view));
  assert.equal(view.labels['deployed-with'], '***');
  assert.equal(view.pipelineId, 'p-***');
  await relay.stop();
  assertClean(
    'the store',
    Buffer.concat(readdirSync(data).map((name) => readFileSync(join(data, name)))).toString('latin1'),
  );
});

test('no secret reaches the spool, whose file lives as long as the relay is not there', OPTIONS, async (t) => {
  const folder = temporaryFolder(t);
  const spool = join(folder, 'spool');
  const { exitCode, stderr } = await runAgent(t, execute(folder), {
    env: { ...env, KERUTA_SPOOL_DIR: spool, KERUTA_WEBSOCKET_URL: 'ws://127.0.0.1:1/ws/tasks' },
  });
  assert.equal(exitCode, 0);
  assertClean("the agent's own words", stderr, 'said by the tee');
  assertClean('the spool', spoolBytes(spool).toString('latin1'));
  assertClean('the spool as cat shows it', await cat(t, spool));
});

test('a URL with a password is refused, and the refusal does not repeat it', OPTIONS, async (t) => {
  const { exitCode, stderr } = await runAgent(t, ['execute', '--task-id', task, '--', 'true'], {
    env: { KERUTA_WEBSOCKET_URL: `ws://user:${SECRETS.byUrl}@127.0.0.1:1/ws/tasks` },
  });
  assert.equal(exitCode, 2);
  assert.match(stderr, /^keruta-agent: KERUTA_WEBSOCKET_URL: its value holds a user or password; .*\n$/);
});

/** Finds what is plain, and no secret. */
function assertClean(where: string, text: string, why = 'or this test sees nothing'): void {
  assert.ok(text.includes(PLAIN), `${where} shows what is plain, ${why}`);
  const lines = Object.fromEntries(KEY_LINES.map((line, i) => [`line ${i} of the key`, line]));
  for (const [name, secret] of Object.entries({ ...SECRETS, inBase64: IN_BASE64, ...lines })) {
    assert.ok(!text.includes(secret), `${where} shows the secret ${name}`);
  }
}

async function cat(t: TestContext, spool: string): Promise<string> {
  const [name] = spoolFiles(spool).filter((file) => file.endsWith('.spool'));
  return (await runAgent(t, ['cat', join(spool, name)])).stdout;
}
