import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseConfig } from './file-text.ts';
import { readConfigFile } from './file.ts';
import { UsageError } from './usage-error.ts';

const values = (text: string) =>
  Object.fromEntries([...parseConfig(text, 'k.yaml')].map(([key, { raw }]) => [key, raw]));

describe('a configuration file', () => {
  const READ: [string, string, object][] = [
    ['empty', '', {}],
    ['only comments', '# nothing\n', {}],
    ['sections without keys', 'agent:\nlogStreaming:\n  filters:\nrelay: {}\n', {}],
    ['the keys of both programs', 'agent: {grace: 1s}\nrelay: {port: 1}', { 'agent.grace': '1s', 'relay.port': '1' }],
    [
      'values as they were written',
      'relay: { port: 0755, data: 1_000 }',
      { 'relay.port': '0755', 'relay.data': '1_000' },
    ],
    ['quoted values', `relay: { data: "a b", host: 'x' }`, { 'relay.data': 'a b', 'relay.host': 'x' }],
    ['lists', 'relay:\n  authTokens:\n    - a\n    - b\n', { 'relay.authTokens': ['a', 'b'] }],
    ['mappings', 'agent:\n  labels:\n    team: web\n    n: 1\n', { 'agent.labels': { team: 'web', n: '1' } }],
    ['anchors', 'agent: { taskName: &n x, pipelineId: *n }', { 'agent.taskName': 'x', 'agent.pipelineId': 'x' }],
    ['keys without value', 'agent:\n  grace:\n', {}],
    [
      'three levels',
      'logStreaming: { filters: { maxMessageLength: 8KiB } }',
      { 'logStreaming.filters.maxMessageLength': '8KiB' },
    ],
  ];
  for (const [what, text, expected] of READ) {
    test(`is read: ${what}`, () => {
      assert.deepEqual(values(text), expected);
    });
  }

  const REFUSED: [string, string][] = [
    ['agent:\n  graec: 1s\n', 'k.yaml, line 2: unknown key agent.graec; did you mean agent.grace?'],
    ['\nlogstreaming:\n  enabled: true\n', 'k.yaml, line 2: unknown key logstreaming; did you mean logStreaming?'],
    ['agent:\n  batchSize: 3\n', 'k.yaml, line 2: unknown key agent.batchSize; did you mean logStreaming.batchSize?'],
    ['relay: { porrt: 1 }', 'k.yaml, line 1: unknown key relay.porrt; did you mean relay.port?'],
    ['agent: 3', 'k.yaml, line 1: agent is a section; write its keys below it'],
    ['- a\n- b\n', 'k.yaml, line 1: the file is a section; write its keys below it'],
    ['agent:\n  labels:\n    a: [1]\n', 'k.yaml, line 2: agent.labels holds a list or a mapping where text belongs'],
  ];
  for (const [text, message] of REFUSED) {
    test(`is refused: ${message}`, () => {
      assert.throws(() => parseConfig(text, 'k.yaml'), new UsageError(message));
    });
  }

  const BROKEN: [string, RegExp][] = [
    ['agent:\n  grace: 1s\n  grace: 2s\n', /^k\.yaml, line 3: not YAML: the key grace stands there twice$/],
    ['agent: {\n', /^k\.yaml, line \d: not YAML: /],
    ['agent:\n\tgrace: 1s\n', /^k\.yaml, line 2: not YAML: /],
    ['agent: {}\n---\nagent: {}\n', /^k\.yaml, line \d: not YAML: /],
    ['agent: { taskName: *nobody }', /^k\.yaml, line 1: not YAML: /],
  ];
  const many = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('');
  BROKEN.push(
    ['agent: { grace: 1s }\nagent: { timeout: 1s }', /^k\.yaml, line 2: not YAML: the key agent stands there twice$/],
    [`agent:\n  labels:\n    a: 1\n    'a': 2\n`, /^k\.yaml, line 4: not YAML: the key a stands there twice$/],
    ['agent: &a { labels: *a }', /^k\.yaml, line 1: agent\.labels holds a list or a mapping where text belongs$/],
    ['logStreaming: &a { filters: *a }', /^k\.yaml, line 1: unknown key logStreaming\.filters\.filters; /],
    ['agent: { <<: { grace: 1s } }', /^k\.yaml, line 1: unknown key agent\.<<; /],
    ['colour: red', /^k\.yaml, line 1: unknown key colour; there are agent, logStreaming, spool, .*, relay$/],
    ['auth: { qqqqqq: red }', /^k\.yaml, line 1: unknown key auth\.qqqqqq; there are token, .*apiKey/],
    ['? [agent]\n: 1', /^k\.yaml, line 1: a key is a list or a mapping; it must be text$/],
    [
      'relay:\n  authTokens: [[a]]',
      /^k\.yaml, line 2: relay\.authTokens holds a list or a mapping where text belongs$/,
    ],
    ['\0\x01', /^k\.yaml, line 1: the file is a section; write its keys below it$/],
    ['['.repeat(20_000), /^k\.yaml, line 1: not YAML: it is nested too deeply$/],
    ['agent: ' + '{a: '.repeat(20_000), /^k\.yaml, line 1: not YAML: it is nested too deeply$/],
    [`relay: { authTokens: [&a x${many(101, () => ', *a')}] }`, /^k\.yaml, line 1: not YAML: there are more than 100 /],
    [many(20_000, (i) => `k${i}: 1\n`), /^k\.yaml, line 1: unknown key k0; /],
  );
  for (const [text, message] of BROKEN) {
    test(`is refused: ${JSON.stringify(text.slice(0, 60))}`, () => {
      assert.throws(() => parseConfig(text, 'k.yaml'), { name: 'UsageError', message });
    });
  }
});

describe('where it is looked for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-file-'));
  const path = join(folder, 'given.yaml');
  writeFileSync(path, 'agent: { grace: 1s }');

  after(() => rmSync(folder, { recursive: true }));

  test('--config is stronger than KERUTA_CONFIG', async () => {
    assert.ok((await readConfigFile(path, { KERUTA_CONFIG: '/nowhere' }))?.has('agent.grace'));
    assert.ok((await readConfigFile(undefined, { KERUTA_CONFIG: path }))?.has('agent.grace'));
    await assert.rejects(readConfigFile('/nowhere/k.yaml', {}), {
      name: 'UsageError',
      message: "--config: can't read /nowhere/k.yaml: there is no such file",
    });
    await assert.rejects(readConfigFile(undefined, { KERUTA_CONFIG: folder }), {
      name: 'UsageError',
      message: `KERUTA_CONFIG: can't read ${folder}: it is a folder`,
    });
  });

  const REFUSED: [what: string, content: Buffer, message: RegExp][] = [
    ['a file of 10 MiB', Buffer.alloc(10 * 1024 * 1024, '#'), /has more than 1MiB: that is no configuration file$/],
    ['a byte too many', Buffer.alloc(1024 * 1024 + 1, '#'), /has more than 1MiB: that is no configuration file$/],
    [
      'a program',
      Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe]),
      /is not UTF-8 text: that is no configuration file$/,
    ],
    ['UTF-16', Buffer.from('\ufeffagent: {}', 'utf16le'), /is not UTF-8 text/],
  ];
  for (const [what, content, message] of REFUSED) {
    test(`is refused: ${what}`, async () => {
      writeFileSync(path, content);
      await assert.rejects(readConfigFile(path, {}), { name: 'UsageError', message });
    });
  }

  test('one without end is refused', async () => {
    await assert.rejects(readConfigFile('/dev/zero', {}), { name: 'UsageError', message: /has more than 1MiB/ });
  });

  test('a byte order mark is no part of the first key', async () => {
    writeFileSync(path, '\ufeffagent: { grace: 1s }');
    assert.ok((await readConfigFile(path, {}))?.has('agent.grace'));
  });

  test(
    'one that this user may not read is refused',
    { skip: process.getuid?.() === 0 && 'root may read all' },
    async () => {
      chmodSync(path, 0);
      await assert.rejects(readConfigFile(path, {}), { name: 'UsageError', message: /this user may not read it$/ });
    },
  );
});
