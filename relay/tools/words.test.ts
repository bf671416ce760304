import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytesInWords, counted, inWords } from './words.ts';

describe('numbers read as people say them', () => {
  const rows: [said: string, wanted: string][] = [
    [inWords(0), '0'],
    [inWords(1234567), '1,234,567'],
    [counted(1, 'line'), '1 line'],
    [counted(0, 'line'), '0 lines'],
    [counted(2000, 'line'), '2,000 lines'],
    [bytesInWords(0), '0 B'],
    [bytesInWords(1023), '1,023 B'],
    [bytesInWords(1024), '1.0 KiB'],
    [bytesInWords(1.5 * 1024 ** 3), '1.5 GiB'],
    [bytesInWords(5000 * 1024 ** 4), '5000.0 TiB'],
  ];
  for (const [said, wanted] of rows) test(wanted, () => assert.equal(said, wanted));
});
