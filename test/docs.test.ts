import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { mentions, type Mention } from './documents.ts';

const ROOT = join(import.meta.dirname, '..');
/** Made by a build or by a run, and in no repository. */
const MADE = /^(?:dist|data|node_modules)(?:\/|$)/;

/** Words of others, which look like our symbols. */
const THEIRS = new Set(['emptyDir', 'emitWithAck']);

const folders = readdirSync(ROOT, { withFileTypes: true }).filter((entry) => entry.isDirectory());
const names = [...folders.map(({ name }) => name), 'dist', 'data'].filter((name) => !name.startsWith('.'));
const documents = globSync(['*.md', '{agent,relay,shared,client,examples,bench,test,scripts,docs}/**/*.md'], {
  cwd: ROOT,
});
const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts);
/** What the product consists of, in one text: a symbol that only a test or a document knows is none. */
const sources = globSync('{agent,relay,shared,client,examples,bench,scripts}/**/*.{ts,tsx,sh,json,proto}', {
  cwd: ROOT,
})
  .filter((path) => !path.endsWith('.test.ts'))
  .concat('package.json', ...globSync('test/**/*.ts', { cwd: ROOT }).filter((path) => !path.endsWith('.test.ts')))
  .map(read)
  .join('\n');

test('there is a README and a DESIGN', () => {
  assert.ok(documents.includes('README.md') && documents.includes('DESIGN.md'), documents.join(', '));
});

for (const document of documents) {
  test(`all that ${document} names is there`, () => {
    const missing = mentions(read(document), names).filter((mention) => !isThere(mention, dirname(document)));
    assert.deepEqual(missing, []);
  });
}

function isThere({ kind, name }: Mention, folder: string): boolean {
  switch (kind) {
    case 'script':
      return scripts.includes(name);
    case 'path':
      return MADE.test(name) || exists(name) || exists(join(folder, name));
    case 'link':
      return exists(join(folder, decodeURI(name)));
    case 'symbol':
      return THEIRS.has(name) || new RegExp(`\\b${name}\\b`).test(sources);
    case 'option':
      return new RegExp(`${name}(?![\\w-])`).test(sources);
  }
}

function exists(pattern: string): boolean {
  return globSync(pattern, { cwd: ROOT }).length > 0;
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

describe('what a document names is found', () => {
  const rows: [markdown: string, found: string[]][] = [
    ['see `agent/child.ts` and `keruta.config.yaml`', ['path agent/child.ts', 'path keruta.config.yaml']],
    ['the tests, `relay/*.test.ts`, in `relay/`', ['path relay/*.test.ts', 'path relay/']],
    ['other things: `a/b.ts`, `/etc/passwd`, `./data`, `true`, `echo a/b`', []],
    ['`Store`, `takeLock()`, `STORE_FULL`', ['symbol Store', 'symbol takeLock', 'symbol STORE_FULL']],
    ['`--grace` and `--spool-limit 1GiB`, not `-x`', ['option --grace', 'option --spool-limit']],
    [
      '```\nnpm run demo\nKERUTA_TASK_ID=t keruta-agent execute --script examples/build.sh -- --theirs\n```',
      ['script demo', 'symbol KERUTA_TASK_ID', 'path examples/build.sh', 'option --script'],
    ],
    ['```\nnpm run agent -- logs t1 --follow # as docker logs --follow-me\n```', ['script agent', 'option --follow']],
    ['```\ndocker run --rm image\n```', []],
    ['[the design](DESIGN.md#words), [far](https://example.org/a.md)', ['link DESIGN.md']],
  ];
  for (const [markdown, found] of rows) {
    test(JSON.stringify(markdown), () => {
      const all = mentions(markdown, ['agent', 'relay', 'examples']);
      assert.deepEqual(
        all.map(({ kind, name }) => `${kind} ${name}`),
        found,
      );
    });
  }

  test('and what is not there is not', () => {
    const wrong: Mention[] = [
      { kind: 'path', name: 'agent/no-such-file.ts' },
      { kind: 'script', name: 'no-such-script' },
      { kind: 'symbol', name: ['No', 'Such', 'Symbol'].join('') },
      { kind: 'option', name: ['--no', 'such', 'option'].join('-') },
      { kind: 'link', name: 'NO-SUCH.md' },
    ];
    for (const mention of wrong) assert.equal(isThere(mention, '.'), false, mention.name);
  });
});
