import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
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
    [
      'colour: red',
      'k.yaml, line 1: unknown key colour; there are agent, logStreaming, logStreaming.filters, spool, performance, websocket, api, auth, relay',
    ],
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
    ['agent:\n  grace: 1s\n  grace: 2s\n', /^k\.yaml, line 3: not YAML: .*unique/],
    ['agent: {\n', /^k\.yaml, line \d: not YAML: /],
    ['agent:\n\tgrace: 1s\n', /^k\.yaml, line 2: not YAML: /],
    ['agent: {}\n---\nagent: {}\n', /^k\.yaml, line \d: not YAML: /],
    ['agent: { taskName: *nobody }', /^k\.yaml, line 1: not YAML: /],
  ];
  for (const [text, message] of BROKEN) {
    test(`is refused: ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseConfig(text, 'k.yaml'), { name: 'UsageError', message });
    });
  }
});

describe('where it is looked for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-file-'));
  const path = join(folder, 'given.yaml');
  writeFileSync(path, 'agent: { grace: 1s }');

  test('--config is stronger than KERUTA_CONFIG', async (t) => {
    t.after(() => rmSync(folder, { recursive: true }));
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
    writeFileSync(path, '#'.repeat(1024 * 1024 + 1));
    await assert.rejects(readConfigFile(path, {}), { name: 'UsageError', message: /is no configuration file$/ });
  });
});
