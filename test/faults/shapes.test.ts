import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { Output } from '../output.ts';
import { temporaryFolder } from '../programs.ts';
import { newAttempt } from './shapes.ts';
import { headOf, secretOf, SHAPES, textOf, type Author } from './text.ts';

/** Lines as the agent would make them of what a script prints. */
function linesOf(text: string, seed: number): string[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, '').replaceAll(secretOf(seed), '***'));
  assert.equal(lines.pop(), '', 'it ends with a line end');
  return lines;
}

for (const [i, shape] of SHAPES.entries()) {
  test(`a ${shape} script writes what the oracle expects of it, and says how much`, async (t) => {
    const seed = 13 + i;
    const attempt = newAttempt({ task: 't', number: 2, shape, seed, folder: join(temporaryFolder(t), 'own') });
    const [file, ...args] = attempt.command;
    const child = spawn(file, args, { env: { PATH: process.env.PATH, ...attempt.env } });
    t.after(() => child.kill('SIGKILL'));
    const gone = once(child, 'close');
    const [stdout, stderr] = [new Output(child.stdout), new Output(child.stderr)];
    await stdout.has(/<t\/2\/o\/11>/);
    assert.equal(attempt.wrote(), undefined);
    attempt.stop();
    assert.deepEqual(await gone, [attempt.exitCode, null]);

    const author: Author = { task: 't', attempt: 2, shape, seed };
    const written = { stdout: linesOf(stdout.text, seed), stderr: linesOf(stderr.text, seed) };
    assert.deepEqual(attempt.wrote(), { stdout: written.stdout.length, stderr: written.stderr.length });
    for (const source of ['stdout', 'stderr'] as const) {
      for (const [index, line] of written[source].entries()) {
        const expected = textOf(author, source, index);
        // Long lines make long messages.
        assert.ok(line === expected, `${source} ${index}: ${line.slice(0, 200)} instead of ${expected.slice(0, 200)}`);
      }
    }
    assert.deepEqual(headOf(written.stdout.at(-1) ?? ''), {
      ...{ task: 't', attempt: 2, source: 'stdout', index: written.stdout.length - 1 },
    });
  });
}
