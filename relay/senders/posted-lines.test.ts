import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { KIND_CR, KIND_NO_EOL } from '../../shared/line.ts';
import { readPosted, type BodyType } from './posted-lines.ts';

const A = '{"level":"INFO","message":"a"}';
const B = '{"level":"INFO","message":"b"}';

function texts(body: string, type: BodyType): string[] {
  return readPosted(Buffer.from(body), type, 0).lines.map(({ text, kind }) => {
    const flags = `${(kind & KIND_CR) !== 0 ? '\\r' : ''}${(kind & KIND_NO_EOL) !== 0 ? '$' : ''}`;
    return Buffer.from(text).toString() + flags;
  });
}

describe('a body is read', () => {
  const rows: [string, BodyType, string, string[]][] = [
    ['one entry', 'json', A, ['a']],
    ['a list', 'json', `[${A},${B}]`, ['a', 'b']],
    ['an empty list', 'json', '[]', []],
    ['an entry a line', 'ndjson', `${A}\n${B}\n`, ['a', 'b']],
    ['an entry a line with empty ones between', 'ndjson', `\r\n${A}\r\n\n${B}`, ['a', 'b']],
    ['plain text', 'text', 'a\n\nb\n', ['a', '', 'b']],
    ['plain text without a last line end', 'text', 'a\nb', ['a', 'b$']],
    ['plain text from Windows', 'text', 'a\r\nb\r', ['a\\r', 'b\r$']],
    ['no text', 'text', '', []],
  ];
  for (const [what, type, body, lines] of rows) test(what, () => assert.deepEqual(texts(body, type), lines));
});

test('text that is not UTF-8 stays as it is', () => {
  const [line] = readPosted(Buffer.from([0x61, 0xff, 0xfe, 0x0a]), 'text', 0).lines;
  assert.deepEqual([...line.text], [0x61, 0xff, 0xfe]);
});

describe('a body is refused as a whole', () => {
  const rows: [string, BodyType, string, string, RegExp][] = [
    ['that is not JSON', 'json', '{', 'INVALID_LOG_FORMAT', /^The body is not JSON\.$/],
    ['that is empty', 'json', '', 'INVALID_LOG_FORMAT', /not JSON/],
    [
      'with one wrong entry',
      'json',
      `[${A},{"level":"INFO"}]`,
      'INVALID_LOG_FORMAT',
      /^Entry 1: message is missing\.$/,
    ],
    ['with a list in a list', 'json', `[[${A}]]`, 'INVALID_LOG_FORMAT', /^Entry 0: it is no JSON object\.$/],
    ['with one wrong line', 'ndjson', `${A}\n{"x"\n`, 'INVALID_LOG_FORMAT', /^Line 2 is not JSON\.$/],
    ['with a list on a line', 'ndjson', `[${A}]`, 'INVALID_LOG_FORMAT', /^Line 1: it is no JSON object\.$/],
    ['with more lines than a chunk holds', 'text', '\n'.repeat(65_536), 'TOO_LARGE', /More than 65535 lines/],
  ];
  for (const [what, type, body, code, message] of rows) {
    test(what, () => {
      assert.throws(
        () => texts(body, type),
        (error: unknown) => error instanceof KerutaError && error.code === code && message.test(error.message),
      );
    });
  }
});
