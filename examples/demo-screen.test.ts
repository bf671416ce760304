import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KEPT_LINES, LINES_PER_SECOND, OVER_AFTER_MS, Screen } from './demo-screen.ts';

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `line ${from + i}`);
const text = (lines: string[]): string => lines.map((line) => `${line}\n`).join('');

describe('the screen', () => {
  test('shows what can be read as it comes', () => {
    const screen = new Screen({ plain: true });
    for (let second = 0; second < 5; second++) {
      const lines = numbered(second * LINES_PER_SECOND, (second + 1) * LINES_PER_SECOND - 1);
      assert.equal(screen.write(text(lines), second * 1000), text(lines));
      assert.equal(screen.tick(second * 1000 + 900), '');
    }
    assert.equal(screen.finish(), '');
  });

  test('shows the beginning and the end of a flood, and says how much lies between', () => {
    const screen = new Screen({ plain: true });
    assert.equal(screen.write(text(numbered(1, 30_000)), 0), text(numbered(1, LINES_PER_SECOND)));
    // It goes on for seconds.
    for (let at = 100; at <= 4000; at += 100)
      assert.equal(screen.write(text([`at ${at}`]), at) + screen.tick(at + 99), '');
    const hidden = 30_000 + 40 - LINES_PER_SECOND - KEPT_LINES;
    assert.equal(
      screen.tick(4000 + OVER_AFTER_MS),
      `… ${hidden.toLocaleString('en')} more lines, counted and not shown …\nat 3800\nat 3900\nat 4000\n`,
    );
    assert.equal(screen.tick(5000), '');
    assert.equal(screen.write('next\n', 5000), 'next\n');
  });

  test('counts on a terminal while a flood lasts, in a line that goes with it', () => {
    const screen = new Screen({ plain: false });
    screen.write(text(numbered(1, 1000)), 0);
    assert.equal(screen.tick(100), `\r\u001b[K… ${1000 - LINES_PER_SECOND} more lines`);
    assert.equal(
      screen.tick(OVER_AFTER_MS),
      `\r\u001b[K… ${1000 - LINES_PER_SECOND - KEPT_LINES} more lines, counted and not shown …\n${text(numbered(998, 1000))}`,
    );
  });

  test('says nothing of a flood that is shown in full', () => {
    const screen = new Screen({ plain: true });
    const lines = numbered(1, LINES_PER_SECOND + KEPT_LINES);
    assert.equal(screen.write(text(lines), 0) + screen.finish(), text(lines));
  });

  test('shows a line on a terminal while it is drawn, and plain as it was at last', () => {
    const drawn = ['\rdownloading   0%', '\rdownloading  50%', '\r\u001b[32mdownloaded\u001b[0m', '\nnext\n'];
    const [terminal, pipe] = [new Screen({ plain: false }), new Screen({ plain: true })];
    assert.deepEqual(
      drawn.map((piece) => terminal.write(piece, 0)),
      drawn,
    );
    assert.deepEqual(
      drawn.map((piece) => pipe.write(piece, 0)),
      ['', '', '', 'downloaded\nnext\n'],
    );
  });

  test('ends a line that has no end', () => {
    for (const plain of [true, false]) {
      const screen = new Screen({ plain });
      assert.equal(screen.write('prompt> ', 0) + screen.finish(), 'prompt> \n');
      assert.equal(screen.finish(), '');
    }
  });
});
