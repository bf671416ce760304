import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hunt } from '../../test/fuzz/hunt.ts';
import { mutations } from '../../test/fuzz/mutations.ts';
import { resolveAgent } from './agent-config.ts';
import { agentOptions } from './agent-options.ts';
import { effective, misspeltVariables, printEffective } from './effective.ts';
import { parseConfig } from './file-text.ts';
import { envNames } from './flags.ts';
import type { Raw, Table } from './option.ts';
import { relayOptions } from './relay-options.ts';
import { keysOf, resolve, type FileValues, type Settings } from './resolve.ts';
import { sampleConfig } from './sample.ts';
import { UsageError } from './usage-error.ts';

const SURROUNDINGS = { env: {}, hostname: 'h', home: '/home/u', temporary: '/tmp', uid: 0 };
const TABLES: Table[] = [agentOptions, relayOptions];
const ROWS = TABLES.flatMap((table) => Object.values(table));
const KEYS = ROWS.flatMap((row) => keysOf(row).map(({ name }) => name));
const OPENED = sampleConfig().replaceAll(/^( *)#(?=\w)/gm, '$1');
/** No error and no table may show it. */
const SECRET = 'hunter2-Zq9';

const value = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '1',
    '-1',
    '0',
    '1e99',
    '1s',
    '5 parsecs',
    '10GiB',
    'true',
    'nein',
    'a=b',
    '=',
    'a,b,,',
    'NaN',
  ),
  fc.constantFrom(
    'ws://relay:1',
    'http://u:p@h',
    'http://[::1',
    '127.0.0.1',
    '::1/129',
    '*',
    '~/x',
    '/dev/null',
    '@/x',
  ),
  fc.constantFrom(
    '1_000',
    '0x10',
    '0755',
    '[',
    '{',
    '- a',
    '&a',
    '*a',
    '!!js x',
    '"',
    "'",
    '#',
    '|',
    '2026-01-02',
    'null',
  ),
  fc.constantFrom('__proto__=x', 'constructor', '\u0000', '\ud800', '\u2028', 'x'.repeat(5000)),
  fc.constantFrom(...ROWS.map(({ kind }) => kind.example)),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const raw: fc.Arbitrary<Raw> = fc.oneof(
  { weight: 4, arbitrary: value },
  fc.array(value, { maxLength: 4 }),
  fc.dictionary(fc.oneof(value, fc.constant('__proto__')), value, { maxKeys: 3 }),
);
const flags = (table: Table) => fc.dictionary(fc.constantFrom(...Object.keys(table)), raw, { maxKeys: 3 });
const env = fc.dictionary(fc.oneof(fc.constantFrom(...ROWS.flatMap(envNames)), fc.constant('KERUTA_GRAEC')), value, {
  maxKeys: 4,
});

describe('a configuration is values, or a sentence that says what to change', () => {
  const text = fc.oneof(
    fc
      .tuple(fc.constantFrom(sampleConfig(), OPENED), mutations([Buffer.from(OPENED)]))
      .map(([sample, mutate]) => mutate(Buffer.from(sample)).toString()),
    fc
      .array(fc.tuple(fc.constantFrom(...KEYS, 'agent', 'relay.x', ''), value), { maxLength: 6 })
      .map((entries) => entries.map(([key, one]) => yaml(key.split('.'), one)).join('')),
    fc
      .tuple(fc.constantFrom(...OPENED.split('\n')), value, fc.nat(500))
      .map(([line, one, at]) => [...OPENED.split('\n').slice(0, at), line.replace(/:.*/s, `: ${one}`)].join('\n')),
    fc.string({ unit: fc.constantFrom(...'abk:-[]{}&*!|>\'"%@`#,? \n\t\r\u0000\ud800<'.split('')), maxLength: 40 }),
    fc.integer({ min: 1, max: 2000 }).map((depth) => '['.repeat(depth)),
    fc.integer({ min: 1, max: 3000 }).map((depth) => `${'{a: '.repeat(depth)}1${'}'.repeat(depth)}`),
    fc.integer({ min: 1, max: 12 }).map((n) => bomb(n)),
  );

  test('of any text of a file', () => {
    fc.assert(
      fc.property(text, (given) => {
        const file = orSaid(() => parseConfig(given, 'k.yaml'), /^k\.yaml, line \d+: ./);
        if (file !== undefined) for (const settings of both({ file })) settings();
      }),
      hunt(200),
    );
  });

  test('of any flags and variables', () => {
    fc.assert(
      fc.property(flags(agentOptions), flags(relayOptions), env, (agentFlags, relayFlags, given) => {
        for (const settings of both({ agentFlags, relayFlags, env: given })) settings();
        misspeltVariables(TABLES, given);
      }),
      hunt(3000),
    );
  });
});

test('what a secret is, is never said: not in an error, not by config', () => {
  const secrets = ROWS.filter(({ secret }) => secret === true);
  const broken = fc.constantFrom(
    SECRET,
    `${SECRET}\u0000`,
    `${SECRET} ü`,
    ` ${SECRET}`,
    `@${SECRET}`,
    `${SECRET}\n`,
    '',
  );
  const names = secrets.flatMap(envNames);
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), broken, { maxKeys: 3 }),
      fc.dictionary(fc.constantFrom(...secrets.flatMap((row) => keysOf(row)[0]?.name ?? [])), broken, { maxKeys: 3 }),
      (given, keys) => {
        const file: FileValues = new Map(Object.entries(keys).map(([key, one]) => [key, { raw: one, place: 'k' }]));
        for (const settings of both({ env: given, file })) settings();
      },
    ),
    hunt(500),
  );
});

test('what an option was read as is printed as what is read as the same', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ROWS), raw, ({ kind }, given) => {
      let read: unknown;
      try {
        read = kind.read(given);
      } catch (error) {
        assert.equal((error as Error).name, 'ValueError');
        return;
      }
      if (typeof read !== 'object') assert.deepEqual(kind.read(kind.print(read)), read);
    }),
    hunt(6000),
  );
});

interface Given {
  agentFlags?: Record<string, Raw>;
  relayFlags?: Record<string, Raw>;
  env?: Record<string, string>;
  file?: FileValues;
}

/** What the programs do with what they are given: each is a configuration that can be shown, or a sentence. */
function both({ agentFlags = {}, relayFlags = {}, env: given = {}, file }: Given): (() => void)[] {
  const origins = { env: given, surroundings: SURROUNDINGS, ...(file && { file }) };
  const check = (table: Table, read: () => Settings<object>): void => {
    const settings = orSaid(read, /^[^\n]+( |: )[^\n]+/);
    if (settings !== undefined) assert.ok(!printEffective(effective(table, settings)).includes(SECRET));
  };
  return [
    () => check(agentOptions, () => resolveAgent({ flags: agentFlags, ...origins })),
    () => check(relayOptions, () => resolve(relayOptions, { flags: relayFlags, ...origins })),
  ];
}

/** What is read, or undefined if a sentence was said instead. */
function orSaid<T>(read: () => T, sentence: RegExp): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    assert.match(error.message, sentence);
    assert.ok(error.message.split('\n').length <= 2, error.message);
    assert.ok(error.message.length < 2000, error.message);
    assert.ok(!error.message.includes(SECRET), error.message);
    return undefined;
  }
}

function yaml(path: readonly string[], one: string): string {
  return path
    .map((name, depth) => `${'  '.repeat(depth)}${name}:${depth === path.length - 1 ? ` ${one}` : ''}\n`)
    .join('');
}

/** Aliases of aliases: a few lines that stand for many. */
function bomb(levels: number): string {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x]'];
  for (let n = 1; n <= levels; n++) lines.push(`a${n}: &a${n} [${`*a${n - 1},`.repeat(9)}]`);
  return `agent:\n  labels: {${lines.join(',')}}\n${lines.join('\n')}\nagent: *a${levels}\n`;
}
