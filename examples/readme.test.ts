import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { installLibrary } from '../test/library.ts';
import { Program } from './demo-programs.ts';

/** What the README shows of reading is tried as it stands, but for the relay's address. */
const README = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
const ADDRESS = 'localhost:8080';
const SCRIPT = 'echo one; echo "WARN two" >&2; exit 3';

describe('the README', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-readme-test-'));
  let relay: Program;
  let address: string;

  before(async () => {
    relay = new Program('relay/cli.ts', ['--port', '0', '--data', join(folder, 'data')], { cwd: folder });
    address = (await relay.ready()).replace(/^.*\/\//, '');
    const url = ['--api-url', `http://${address}`, '--spool-dir', join(folder, 'spool')];
    for (const task of [
      ['--task-id', 't1'],
      ['--task-id', 'build', '--pipeline-id', 'nightly'],
    ]) {
      const agent = new Program('agent/cli.ts', ['execute', ...task, ...url, '--', 'sh', '-c', SCRIPT], {
        cwd: folder,
      });
      assert.equal(await agent.ended, 3, agent.errors);
    }
    installLibrary(folder, []);
  });
  after(async () => {
    await relay.stop();
    rmSync(folder, { recursive: true });
  });

  const programs: [what: string, code: RegExp, lines: string[]][] = [
    ['with the library reads what matches, to the end of a log', /```js\n(import .*?)```/s, ['WARN two']],
    ['reads a log to its end', /```js\n(const socket.*?)```/s, ['INFO one', 'WARN WARN two']],
  ];
  for (const [what, fenced, lines] of programs) {
    test(`has a program that ${what}`, { timeout: 60_000 }, async (t) => {
      const code = fenced.exec(README)?.[1];
      assert.ok(code !== undefined && code.includes(ADDRESS), 'there is none');
      const reader = spawn(process.execPath, ['--input-type=module', '--eval', code.replace(ADDRESS, address)], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      t.after(() => reader.kill());
      const [exited, out] = await Promise.all([once(reader, 'exit'), text(reader.stdout)]);
      assert.deepEqual(exited, [0, null]);
      assert.deepEqual(out.replaceAll(/^\S+ /gm, '').trimEnd().split('\n').sort(), lines);
    });
  }

  const requests = Array.from(README.matchAll(/^curl .*?http:\/\/localhost:8080([^'\s]*)/gm), ([, path]) => path);
  test('has requests to try', () => assert.ok(requests.length >= 5, String(requests.length)));
  for (const path of requests) {
    test(`asks for what there is: ${path}`, async () => {
      const response = await fetch(`http://${address}${path}`);
      assert.equal(response.status, 200);
      // Some do not end.
      await response.body?.cancel();
    });
  }
});
