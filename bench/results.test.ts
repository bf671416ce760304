import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { resultsPage, resultsText, type Results } from './results.ts';
import { reaches, rowOf, type Bar } from './table.ts';

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');

const RESULTS: Results = {
  date: '2026-01-02T03:04:05.678Z',
  seconds: 1.4,
  smoke: false,
  machine: { machine: '2 × a CPU', 'Node.js': '24.0.0' },
  rows: [
    rowOf([3, 1, 2], { stage: 'path', what: 'a flood', unit: 'M lines/s', bar: { at: 'least', value: 1.8 } }),
    rowOf([1234.4], { stage: 'path', what: '… p99', unit: 'ms', bar: { at: 'most', value: 20 }, note: 'so it goes' }),
    rowOf([9], { stage: 'lines', what: 'no bar', unit: 'M lines/s' }),
  ],
  peers: [],
  skipped: [{ sentence: 'nobody is not on the PATH.' }],
};

test('RESULTS.md is what is written from results.json', () => {
  assert.equal(read('RESULTS.md'), resultsPage(JSON.parse(read('results.json')) as Results));
});

test('a row shows median, bar, verdict and the least and most of its runs', () => {
  const text = resultsText(RESULTS);
  assert.match(
    text,
    /\| path +\| a flood +\| ≥ 1\.80 M lines\/s \| 2\.00 M lines\/s \| reached +\| +1\.00 … 3\.00 \(3\) \|/,
  );
  assert.match(text, /\| path +\| … p99 +\| +≤ 20\.0 ms \| +1,234 ms \| \*\*MISSED\*\* \| +\| so it goes \|/);
  assert.match(text, /\| lines +\| no bar +\| +\| +9\.00 M lines\/s \| +\| +\| +\|/);
  assert.match(text, /1 of 2 bars are reached\.\n\nMissed:\n\n- path, p99: 1,234 of ≤ 20\.0 ms\n/);
  assert.match(text, /\nnobody is not on the PATH\.\n$/);
});

test('all lines of the table are equally long', () => {
  const lines = resultsText(RESULTS)
    .split('\n')
    .filter((line) => /^\| (stage|path|lines) /.test(line));
  assert.equal(new Set(lines.map((line) => line.length)).size, 1);
});

test('a smoke run judges nothing', () => {
  const text = resultsText({ ...RESULTS, smoke: true });
  assert.doesNotMatch(text, /reached|MISSED/i);
  assert.match(text, /figures mean nothing/);
});

describe('a bar', () => {
  const rows: [name: string, value: number, bar: Bar, reached: boolean][] = [
    ['at least, above', 2, { at: 'least', value: 1 }, true],
    ['at least, just so', 1, { at: 'least', value: 1 }, true],
    ['at least, below', 0.9, { at: 'least', value: 1 }, false],
    ['at most, below', 0.9, { at: 'most', value: 1 }, true],
    ['at most, just so', 1, { at: 'most', value: 1 }, true],
    ['at most, above', 1.1, { at: 'most', value: 1 }, false],
    ['at most, no number', NaN, { at: 'most', value: 1 }, false],
  ];
  for (const [name, value, bar, reached] of rows) test(name, () => assert.equal(reaches({ value, bar }), reached));
});
