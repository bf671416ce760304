import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHUNK_HEADER_BYTES, readHeader } from '../shared/chunk.ts';
import { decodeLines, decompress, encodeLines } from '../shared/columns.ts';
import { kindOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { metadataJson } from './api/metadata-json.ts';
import { compileFilter } from './filter.ts';
import { metadataMatcher, parseMetadata } from './metadata.ts';
import { wantsBody } from './store/wants.ts';

function linesWith(...metadata: (string | undefined)[]) {
  const kind = kindOf('stdout', 'INFO');
  const input = metadata.map((json) => ({ time: 1, kind, text: Buffer.from('x'), metadata: json }));
  const chunk = encodeLines(newUlid(1), 0, input);
  const header = readHeader(chunk);
  return { header, lines: decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES))) };
}

describe('metadata is compared as text', () => {
  const has: [json: string, wanted: Record<string, string>][] = [
    ['{"request":"42"}', { request: '42' }],
    ['{"request":42}', { request: '42' }],
    ['{"ok":true,"none":null}', { ok: 'true', none: 'null' }],
    ['{"a":{"b":{"c":"deep"}}}', { 'a.b.c': 'deep' }],
    ['{"a.b":{"c":1}}', { 'a.b.c': '1' }],
    ['{"a":{"b.c":1}}', { 'a.b.c': '1' }],
    ['{"a":{"x":0},"a.b":1}', { 'a.b': '1' }],
    ['{"tags":["x",1]}', { tags: '["x",1]' }],
    ['{"a":{"b":1}}', { a: '{"b":1}' }],
    ['{"empty":""}', { empty: '' }],
    ['{"\\u0061":"caf\\u00e9"}', { a: 'café' }],
    ['{"x":1,"y":2,"z":3}', { x: '1', z: '3' }],
    ['{"__proto__":"own"}', { ['__proto__']: 'own' }],
  ];
  for (const [json, wanted] of has) {
    test(`${json} has ${JSON.stringify(wanted)}`, () => {
      assert.equal(metadataMatcher(wanted)(linesWith(json).lines, 0), true);
    });
  }
  const lacks: [json: string | undefined, wanted: Record<string, string>][] = [
    [undefined, { a: '1' }],
    ['{"a":1}', { a: '01' }],
    ['{"a":"A"}', { a: 'a' }],
    ['{"a":1}', { a: '1', b: '2' }],
    ['{"a":"12"}', { a: '1' }],
    ['{"a":{"b":1}}', { b: '1' }],
    ['{"a":[1]}', { 'a.0': '1', 'a.length': '1' }],
    ['{}', { constructor: 'function', 'constructor.name': 'Object' }],
    ['"text"', { length: '4' }],
    ['[{"a":1}]', { a: '1' }],
    ['null', { a: '1' }],
    ['{"a":1', { a: '1' }],
  ];
  for (const [json, wanted] of lacks) {
    test(`${json ?? 'no metadata'} lacks ${JSON.stringify(wanted)}`, () => {
      assert.equal(metadataMatcher(wanted)(linesWith(json).lines, 0), false);
    });
  }
});

describe('metadata that is nested', () => {
  const nest = (depth: number): string => `${'{"a":['.repeat(depth / 2)}1${']}'.repeat(depth / 2)}`;
  const rows: [what: string, json: string, read: boolean][] = [
    ['deeply is read', nest(500), true],
    ['more deeply than anybody means has nothing', nest(502), false],
    ['as deeply as a chunk can hold has nothing', nest(400_000), false],
    ['in its text only is read', `{"a":"${'[\\\"{'.repeat(1000)}"}`, true],
    ['in length only is read', `{"a":[${'{},'.repeat(1000)}1]}`, true],
  ];
  for (const [what, json, read] of rows) {
    test(what, () => {
      assert.equal(parseMetadata(json) !== undefined, read);
      assert.equal(metadataMatcher({ b: '1' })(linesWith(json).lines, 0), false);
      assert.equal(metadataJson(json), read ? json : JSON.stringify({ unreadable: json }));
    });
  }
});

test('a chunk without metadata is passed over by its header', () => {
  const filter = compileFilter({ meta: { a: '1' } });
  const { header } = linesWith(undefined, undefined);
  assert.equal(filter.judge(header), 'none');
  assert.equal(wantsBody(filter.wants, header), false);
  assert.equal(wantsBody(filter.wants, linesWith(undefined, '{}').header), true);
});

test('metadata narrows what the rest of a filter lets through', () => {
  const filter = compileFilter({ meta: { a: '1' }, levels: ['INFO'] });
  const { header, lines } = linesWith('{"a":1}', '{"a":2}', undefined, '{"a":"1"}');
  assert.equal(filter.judge(header), 'search');
  assert.deepEqual(filter.match(lines, 0, 4), Uint32Array.of(0, 3));
  assert.deepEqual(filter.match(lines, 1, 4), Uint32Array.of(3));
});
