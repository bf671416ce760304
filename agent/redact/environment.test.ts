import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { secretsFromEnvironment } from './environment.ts';

const VALUE = 'k3y-Of-The-House';

describe('a variable whose name says so is secret', () => {
  for (const name of [
    'GITHUB_TOKEN',
    'TOKEN',
    'NPM_TOKEN_2',
    'CLIENT_SECRET',
    'SECRET',
    'DB_PASSWORD',
    'PASSWORD',
    'PGPASSWORD',
    'db_password',
    'ADMIN_PASSWD',
    'MYSQL_PWD',
    'SMTP_PASS',
    'SSHPASS',
    'GPG_PASSPHRASE',
    'AWS_SECRET_ACCESS_KEY',
    'DEPLOY_KEY',
    'KEY',
    'OPENAI_API_KEY',
    'APIKEY',
    'SECRET_KEY_BASE',
    'AZURE_CREDENTIALS',
    'REGISTRY_CREDENTIAL',
    'STORAGE_CONNECTION_STRING',
    'SENTRY_DSN',
    'GH_PAT',
    'REDISCLI_AUTH',
    'npm_config__authToken',
  ]) {
    test(name, () => assert.deepStrictEqual(secretsFromEnvironment({ [name]: VALUE }), [VALUE]));
  }
});

describe('a variable of another name is not', () => {
  for (const name of [
    'PATH',
    'HOME',
    'PWD',
    'OLDPWD',
    'KEYBOARD',
    'MONKEY',
    'TOKEN_FILE',
    'COMPASS',
    'AUTHOR',
    'SSH_AUTH_SOCK',
    'TERM',
    'KEY_ID',
  ]) {
    test(name, () => assert.deepStrictEqual(secretsFromEnvironment({ [name]: VALUE }), []));
  }
});

describe('a value that is no secret is not masked, whatever the name', () => {
  const rows: Record<string, string>[] = [
    { USE_TOKEN: 'true' },
    { DB_PASSWORD: 'seven77' },
    { DB_PASSWORD: 'password' },
    { DB_PASSWORD: 'ChangeMe' },
    { DB_PASSWORD: '********' },
    { DB_PASSWORD: '            ' },
    { GOOGLE_APPLICATION_CREDENTIALS: '/var/run/secrets/gcp/key.json' },
    { SSH_KEY: '~/.ssh/id_ed25519' },
    { SSH_KEY: './keys/deploy.pem' },
    { SIGNING_KEY: 'C:\\build agents\\keys\\sign.pfx' },
    { LERNA_PWD: '/home/runner/work/project' },
    { CACHE_KEY: 'node-modules-v2' },
    { SORT_KEY: 'created_at' },
    { PRIMARY_KEY: 'identifier' },
    { DOCKER_AUTH: 'disabled' },
  ];
  for (const env of rows) test(JSON.stringify(env), () => assert.deepStrictEqual(secretsFromEnvironment(env), []));
});

describe('a value that might be taken for something ordinary is secret all the same', () => {
  const rows: Record<string, string>[] = [
    { AWS_SECRET_ACCESS_KEY: '/wJalrXUtnFEMIK7MDENG/bPxRfiCYEXAMPLEKEY' },
    { DB_PASSWORD: 'correct horse battery staple' },
    { DB_PASSWORD: 'hunterhunter' },
    { API_KEY: '6f9619ff-8b86-d011-b42d-00cf4fc964ff' },
    { DEPLOY_KEY: 'f3a9c04417d2' },
    { DB_PASSWORD: '12345678' },
  ];
  for (const env of rows)
    test(JSON.stringify(env), () => assert.deepStrictEqual(secretsFromEnvironment(env), Object.values(env)));
});

describe('a secret within a value is found', () => {
  const rows: { env: Record<string, string>; secrets: string[]; where: string }[] = [
    { where: 'a URL', env: { DATABASE_URL: 'postgres://app:p%40ssw0rd1@db/x' }, secrets: ['p%40ssw0rd1', 'p@ssw0rd1'] },
    { where: 'a URL, not encoded', env: { https_proxy: 'http://me:100%-secret@proxy' }, secrets: ['100%-secret'] },
    {
      where: 'a connection string',
      env: { Db: 'Server=x;User Id=y;Password=s3cr3t-pw;Pooling=true' },
      secrets: ['s3cr3t-pw'],
    },
    { where: 'a quoted one', env: { PGOPTS: `host=x password='with blank 1'` }, secrets: ['with blank 1'] },
    {
      where: 'JSON',
      env: { GCP: '{"type":"service_account","private_key":"-----BEGIN\\nabc"}' },
      secrets: ['-----BEGIN\nabc'],
    },
    {
      where: 'nested JSON',
      env: { CONFIG: '{"db":{"password":"hunter2hunter2"},"n":1}' },
      secrets: ['hunter2hunter2'],
    },
  ];
  for (const { where, env, secrets } of rows)
    test(where, () => assert.deepStrictEqual(secretsFromEnvironment(env), secrets));
});

test('a value is named once', () => {
  assert.deepStrictEqual(secretsFromEnvironment({ A_TOKEN: VALUE, B_TOKEN: VALUE, C: undefined }), [VALUE]);
});

test('what only looks like JSON is no error', () => {
  assert.deepStrictEqual(secretsFromEnvironment({ TEMPLATE: '{not json}', DB_PASSWORD: '{curly-1}' }), ['{curly-1}']);
});
