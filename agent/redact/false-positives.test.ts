import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { secretsFromEnvironment } from './environment.ts';
import { MASK } from './mask.ts';
import { Redactor, redactText } from './redactor.ts';
import { compileSecrets } from './secrets.ts';

/** A job's environment: what is secret in it must not be found where it is not. */
const secrets = compileSecrets(
  secretsFromEnvironment({
    GITHUB_TOKEN: 'v1.4fd3a07c9be25a7d60c1f8a2',
    DB_PASSWORD: 'correct-Horse9!',
    DATABASE_URL: 'postgres://app:Tr0ub4dor&3xyz@db.internal/app',
    GOOGLE_APPLICATION_CREDENTIALS: '/var/run/secrets/gcp.json',
    CACHE_KEY: 'node-modules',
    REQUIRE_PASSWORD: 'required',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/bin',
  }),
);

describe('ordinary lines stay as they are', () => {
  for (const line of [
    'npm warn deprecated inflight@1.0.6: This module is not supported, and leaks memory.',
    'added 512 packages, and audited 513 packages in 12s (node-modules restored from cache)',
    'Receiving objects: 100% (1234/1234), 5.67 MiB | 8.90 MiB/s, done.\rResolving deltas:  42% (1/2)',
    'commit 9fceb02d0ae598e95dc970b74767f19372d61af8 (HEAD -> main, origin/main)',
    'sha512-oRd7A1F4+8fQm2tXwYqk3oJfVvq0t8b1G1B0d1x2Z3Y4W5V6U7T8S9R0Q1P2O3N4M5L6K7J8I9H0G1F2E3D4C==',
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855: Pull complete',
    'GET http://localhost:8080/api/v1/tasks?from=me@example.com 200 12ms',
    'remote: git@github.com:keruta/logs.git, https://github.com/keruta/logs.git',
    'listening on ws://[::]:8080, http://127.0.0.1:9090',
    'password is required (using password: YES) for user app@db.internal:5432',
    'could not read /var/run/secrets/gcp.json',
    'at Object.<anonymous> (file:///home/runner/work/app/src/index.ts:12:34)',
    '2026-01-02T03:04:05.678Z INFO [http-nio-8080-exec-1] c.e.MonkeyService : key=eyJ, skipped',
    'ASIAN MARKETS AKIAK XOXO, github_path, npm_lifecycle_event=postinstall',
    '進捗: 50% 完了 🚀 トークンは使用しません',
    'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODk=',
  ]) {
    test(line.slice(0, 60), () => assert.strictEqual(redactText(line, secrets), line));
  }
});

const LOGHUB = new URL('../../../shared/data/loghub/', import.meta.url);

test(
  'logs of many systems stay as they are',
  { skip: !existsSync(LOGHUB) && 'the Loghub samples are not there' },
  (t) => {
    const files = readdirSync(LOGHUB).filter((name) => name.endsWith('.log'));
    assert.ok(files.length > 0);
    for (const name of files) {
      const text = readFileSync(new URL(name, LOGHUB));
      const redactor = new Redactor(secrets);
      const clean = Buffer.concat([redactor.push(text), redactor.end()]);
      const before = text.toString('latin1').split('\n');
      const changed = clean
        .toString('latin1')
        .split('\n')
        .filter((line, i) => line !== before[i]);
      for (const line of changed) t.diagnostic(`${name}: ${line}`);
      assert.deepStrictEqual(changed, [], `${name} has ${changed.length} lines with ${MASK.toString()}`);
    }
  },
);
