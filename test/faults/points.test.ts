import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BUGS } from './bugs.ts';
import { edited, type Edit } from './edits.ts';
import { editOf, POINTS } from './points.ts';

const root = new URL('../../', import.meta.url);
const sourceOf = ({ file }: Pick<Edit, 'file'>) => readFileSync(new URL(file, root), 'utf8');

for (const point of POINTS) {
  test(`the point ${point.name} has its place in ${point.file}`, () => {
    const source = sourceOf(point);
    assert.ok(edited(source, [editOf(point)]).length > source.length);
  });
}

for (const bug of BUGS) {
  test(`the bug "${bug.name}" finds what it breaks, and leaves the points their places`, () => {
    for (const edit of bug.edits) {
      const points = POINTS.filter(({ file }) => file === edit.file).map(editOf);
      edited(sourceOf(edit), [...bug.edits.filter(({ file }) => file === edit.file), ...points]);
    }
  });
}

test('an anchor that is gone, or there twice, is an error that names it', () => {
  const edit = { name: 'x', file: 'a.ts', anchor: 'b();', before: 'c(); ' };
  assert.equal(edited('a(); b();', [edit]), 'a(); c(); b();');
  assert.throws(() => edited('a();', [edit]), /x: its anchor is not in a\.ts/);
  assert.throws(() => edited('b(); b();', [edit]), /x: its anchor is 2 times in a\.ts/);
});

test('two edits at one anchor stand both', () => {
  const at = { name: 'x', file: 'a.ts', anchor: 'b();' };
  assert.equal(
    edited('b();', [
      { ...at, before: 'c(); ' },
      { ...at, behind: ' d();' },
    ]),
    'c(); b(); d();',
  );
});
