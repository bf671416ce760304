import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './nearest.ts';

const NAMES = ['batchSize', 'bufferSize', 'flushInterval', 'enabled', 'url'];

const FOUND: [string, string | undefined][] = [
  ['batchsize', 'batchSize'],
  ['batch_size', 'batchSize'],
  ['batch-size', 'batchSize'],
  ['bacthSize', 'batchSize'],
  ['bufersize', 'bufferSize'],
  ['flushIntervall', 'flushInterval'],
  ['enable', 'enabled'],
  ['uri', 'url'],
  ['colour', undefined],
  ['', undefined],
];

for (const [name, near] of FOUND) {
  test(`${JSON.stringify(name)} was meant to be ${near ?? 'none of the names'}`, () => {
    assert.equal(nearest(name, NAMES), near);
  });
}
