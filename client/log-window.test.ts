import assert from 'node:assert/strict';
import test from 'node:test';
import { countLines, LogWindow, shownRows, type RowFilter } from './react/log-window.ts';
import type { MergedEvent } from './events.ts';

function line(message: string, more: object = {}): MergedEvent {
  const words = { id: message, taskId: 't', timestamp: '2026-01-02T03:04:05.678Z', source: 'stdout', level: 'INFO' };
  return { type: 'log', ...words, message, lineNumber: 1, metadata: {}, ...more } as MergedEvent;
}

const GAP = { type: 'gap', lines: 2, reason: 'dropped', cursor: 'c' } as const;
const RESET = { type: 'reset', message: 'another', from: 'now' } as const;
const LAG = { type: 'lag', attempt: 1, forMs: 0, problem: 'gone' } as const;

function texts(window: LogWindow): string[] {
  return window.rows.map((row) => (row.kind === 'line' ? row.message : row.text));
}

test('the last rows are kept, those that stay as the same objects, each with a key of its own', () => {
  const window = new LogWindow(3);
  window.add([line('1'), line('2')]);
  const [, second] = window.rows;
  window.add([line('3'), line('4')]);
  assert.deepEqual(texts(window), ['2', '3', '4']);
  assert.equal(window.rows[0], second);
  assert.equal(new Set(window.rows.map((row) => row.key)).size, 3);
  const { rows } = window;
  window.add([LAG]);
  assert.equal(window.rows, rows);
  window.clear();
  assert.deepEqual(texts(window), []);
});

test('a flood does not make it hold more than it keeps', () => {
  const window = new LogWindow(3);
  window.add(Array.from({ length: 100_000 }, (_, i) => line(String(i))));
  assert.deepEqual(texts(window), ['99997', '99998', '99999']);
});

test('a window that keeps nothing keeps nothing', () => {
  const window = new LogWindow(0);
  window.add([line('1'), line('2')]);
  assert.deepEqual(texts(window), []);
});

const ALL: RowFilter = { level: 'all', source: 'all', text: '' };

for (const { what, filter, shown, lines } of [
  { what: 'nothing', filter: ALL, shown: 5, lines: 3 },
  { what: 'a level', filter: { ...ALL, level: 'ERROR' }, shown: 3, lines: 1 },
  { what: 'a stream', filter: { ...ALL, source: 'agent' }, shown: 3, lines: 1 },
  { what: 'text in any case', filter: { ...ALL, text: 'ONE' }, shown: 3, lines: 1 },
  { what: "a task's name", filter: { ...ALL, text: 'build' }, shown: 3, lines: 1 },
  { what: 'all at once', filter: { level: 'ERROR', source: 'agent', text: 'one' }, shown: 2, lines: 0 },
] as { what: string; filter: RowFilter; shown: number; lines: number }[]) {
  test(`a filter by ${what} hides lines, and never that some are missing`, () => {
    const window = new LogWindow(10);
    const named = line('three', { source: 'agent', taskName: 'Build' });
    window.add([line('one'), GAP, line('two', { level: 'ERROR' }), RESET, named]);
    const rows = shownRows(window.rows, filter);
    assert.deepEqual([rows.length, countLines(rows)], [shown, lines]);
  });
}
