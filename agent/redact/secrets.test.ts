import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSecrets } from './secrets.ts';

test('values that are too short to be masked are named', () => {
  assert.deepStrictEqual(compileSecrets(['seven77', 'password1', '', 'x']).tooShort, ['seven77', '', 'x']);
});

test('every place, at every address, of every form length is found', () => {
  const values = Array.from({ length: 30 }, (_, i) =>
    'q7Rz-Yk2mWp9Xv4Lt8Bn3Hs6'.repeat(2).slice(i % 5, (i % 5) + 8 + i),
  );
  for (const value of values) {
    const secrets = compileSecrets([value]);
    const memory = Buffer.alloc(value.length + 80, ' ');
    for (let address = 0; address < 8; address++) {
      for (let at = 0; at < 32; at++) {
        memory.fill(' ');
        const text = memory.subarray(address, address + value.length + 40);
        text.write(value, at);
        const { spans } = secrets.find(text, true);
        assert.ok(
          spans.some(({ start, end }) => start === at && end === at + value.length),
          `${value} at ${at} of ${address}`,
        );
      }
    }
  }
});

test('thousands of secrets are found, each', () => {
  const values = Array.from({ length: 2000 }, (_, i) => `secret-number-${i}-of-many`);
  const secrets = compileSecrets(values);
  const { spans } = secrets.find(Buffer.from(values.join('\n')), true);
  assert.strictEqual(spans.length, values.length);
});
