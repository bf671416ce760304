import assert from 'node:assert/strict';
import { test } from 'node:test';
import { programsIn } from './doc-programs.ts';

test('programs are those whose fence says how they are run', () => {
  const markdown =
    'Text\n\n```js run=node,browser shows=t2\nconst a = 1;\n\nb();\n```\n```sh\nnot run\n```\n```py run=python\n```\n';
  assert.deepEqual(programsIn(markdown), [
    { run: ['node', 'browser'], given: { shows: 't2' }, code: 'const a = 1;\n\nb();\n', line: 3 },
    { run: ['python'], given: {}, code: '\n', line: 11 },
  ]);
});
