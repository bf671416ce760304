import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';

const DEMO = join(import.meta.dirname, 'demo.ts');
const folder = mkdtempSync(join(tmpdir(), 'keruta-demo-test-'));
after(() => rmSync(folder, { recursive: true }));

function startDemo(env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [DEMO], {
    env: { PATH: process.env.PATH, TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Processes whose command line or environment names the folder. */
function leftRunning(): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => ['cmdline', 'environ'].some((file) => contents(`/proc/${pid}/${file}`).includes(folder)));
}

/** Empty for a process that has ended, or is another user's. */
function contents(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

const skip = process.platform === 'linux' ? false : 'looks for processes in /proc, which only Linux has';

describe('the demo', { skip }, () => {
  test('brings every line of the build to a reader, and leaves nothing behind', async () => {
    const demo = startDemo({ BUILD_PAUSE: '0', BUILD_BURST: '3000' });
    assert.ok(demo.stdout && demo.stderr);
    const [exited, out, err] = await Promise.all([once(demo, 'exit'), text(demo.stdout), text(demo.stderr)]);
    assert.deepEqual({ exited, err }, { exited: [0, null], err: '' }, out);
    assert.match(out, /the secret +INFO {2}logging in with token \*\*\*$/m);
    assert.match(out, /more lines, counted and not shown …$/m);
    assert.match(out, /lines written +3,025, /);
    assert.match(out, /lines read +3,025, each once and in order$/m);
    assert.ok(!out.includes('\u001b'), 'plain in a pipe');
    assert.deepEqual(readdirSync(folder), []);
    assert.deepEqual(leftRunning(), []);
  });

  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`stops on ${signal} with exit code ${exitCode}, and leaves nothing behind`, async () => {
      const demo = startDemo({});
      assert.ok(demo.stdout && demo.stderr);
      const [exited, err] = [once(demo, 'exit'), text(demo.stderr)];
      for await (const line of createInterface({ input: demo.stdout })) {
        if (line.includes('branch main')) demo.kill(signal);
      }
      assert.deepEqual(await exited, [exitCode, null]);
      assert.equal(await err, `demo: stopped by ${signal}\n`);
      assert.deepEqual(readdirSync(folder), []);
      assert.deepEqual(leftRunning(), []);
    });
  }
});
