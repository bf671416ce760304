import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Valve } from './valve.ts';

test('a socket is read again when nobody holds it any more', () => {
  const said: string[] = [];
  const valve = new Valve({ pause: () => said.push('pause'), resume: () => said.push('resume') });
  valve.hold('window');
  valve.hold('limit');
  valve.hold('limit');
  valve.release('window');
  valve.release('window');
  assert.deepEqual([said, valve.held], [['pause'], true]);
  valve.release('limit');
  assert.deepEqual([said, valve.held], [['pause', 'resume'], false]);
});
