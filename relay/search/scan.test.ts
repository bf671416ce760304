import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter } from '../filter.ts';
import { RunFacts } from '../run-facts.ts';
import type { Stored } from '../store/store.ts';
import { scanStretch } from './scan.ts';

test('can be broken off where a damaged store answers with nothing of what is asked for', async () => {
  const beyond: Stored = { kind: 'gap', task: 't', firstLine: 100, count: 1, reason: 'dropped' };
  const reads = { read: () => Promise.resolve([beyond]), runs: () => Promise.resolve([]) };
  const filter = compileFilter({ text: ['x'] });
  const scan = { task: 't', from: 1, through: 10, spec: filter.spec, key: filter.key, counts: false };
  let asked = 0;
  const check = (): void => {
    if (++asked === 3) throw new Error('nobody waits any more');
  };
  const parts = { reads, facts: new RunFacts({ store: reads }), filter, check };
  await assert.rejects(scanStretch(scan, parts), /nobody waits/);
});
