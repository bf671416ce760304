import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { relayConfig } from '../relay/relay-config.fixture.ts';
import { startRelay } from '../relay/relay.ts';
import { buildClient } from './build-client.ts';

const ROOT = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'keruta-client-'));
/** An empty folder of a user, with the package in it. */
const app = join(folder, 'app');

before(() => {
  const source = join(folder, 'source');
  mkdirSync(source);
  buildClient(join(source, 'dist'));
  copyFileSync(join(ROOT, 'package.json'), join(source, 'package.json'));
  const packed = run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], source);
  // What it needs itself is for its programs; the library needs nothing.
  const installed = join(app, 'node_modules/keruta');
  mkdirSync(installed, { recursive: true });
  run('tar', ['-xzf', join(folder, packed.trim()), '-C', installed, '--strip-components=1'], folder);
  writeFileSync(join(app, 'package.json'), '{"type":"module"}');
});

after(() => rmSync(folder, { recursive: true }));

function run(file: string, args: string[], cwd: string): string {
  const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: folder };
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', cwd, env });
  assert.equal(status, 0, `${file} ${args.join(' ')}:\n${stdout}${stderr}`);
  return stdout;
}

const PROGRAM = `
import { createClient, tail, ClientError, type TailEvent } from 'keruta/client';

const client = createClient({ url: process.argv[2] ?? '' });
const filter = { levels: ['INFO' as const] };
for await (const event of tail(client, { task: 't' }, { follow: false, filter })) {
  const shown: TailEvent<{ task: string }> = event;
  if (shown.type === 'log') console.log(shown.lineNumber, shown.message);
  if (event.type === 'gap') console.log(event.toLine - event.fromLine);
  if (event.type === 'end') console.log(event.status);
}
try {
  await tail(client, { pipeline: 'p' }, { from: 'nowhere' }).next();
} catch (error) {
  if (error instanceof ClientError) console.log(error.code);
}
client.close();
`;

const PAGE = `
import { LogStreamingService, type LogMessage } from 'keruta/client/stratal';
import { LogViewer } from 'keruta/react';
import { createElement } from 'react';

export const service = new LogStreamingService('', { onMessage: (log: LogMessage) => log.job_run_id.length });
export const element = createElement(LogViewer, { jobRunId: 'x', height: '300px', autoScroll: false });
`;

describe('the library in the package', () => {
  for (const resolution of ['nodenext', 'bundler']) {
    test(`has types that need nothing else, resolved as by ${resolution}`, () => {
      for (const name of ['react', 'csstype', '@types/react']) link(name);
      writeFileSync(join(app, 'program.ts'), `declare const process: { argv: string[] };\n${PROGRAM}`);
      writeFileSync(join(app, 'page.ts'), PAGE);
      const module = resolution === 'bundler' ? 'esnext' : resolution;
      const compilerOptions = {
        target: 'es2024',
        lib: ['es2024', 'dom'],
        strict: true,
        noEmit: true,
        types: [],
        module,
      };
      const options = { ...compilerOptions, moduleResolution: resolution };
      writeFileSync(
        join(app, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: options, files: ['program.ts', 'page.ts'] }),
      );
      run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'], app);
    });
  }

  test('runs a program against a relay, on Node alone', async (t) => {
    const relay = await startRelay(relayConfig({ dataDir: join(folder, 'data') }));
    t.after(() => relay.stop());
    const posted = await fetch(`${relay.url}/api/v1/tasks/t/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(['INFO', 'DEBUG', 'INFO'].map((level) => ({ level, message: level.toLowerCase() }))),
    });
    assert.equal(posted.status, 201);
    const file = join(app, 'run.ts');
    writeFileSync(file, PROGRAM);
    const { stdout, stderr, status } = await runProgram(file, relay.url);
    assert.deepEqual({ stdout, stderr, status }, { stdout: '1 info\n3 info\nINVALID_CURSOR\n', stderr: '', status: 0 });
  });

  for (const { what, code, limit } of [
    { what: 'everything', code: `export * from 'keruta/client'`, limit: 10_000 },
    { what: 'a tail', code: `export { createClient, tail } from 'keruta/client'`, limit: 6_000 },
    { what: 'requests', code: `export { createClient, historyPage } from 'keruta/client'`, limit: 2_500 },
    { what: 'the service in the words of Stratal', code: `export * from 'keruta/client/stratal'`, limit: 8_000 },
  ]) {
    test(`takes at most ${limit} bytes, compressed, for ${what}, and nothing of Node`, async () => {
      const { outputFiles, metafile } = await build({
        stdin: { contents: code, resolveDir: app },
        ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', write: false, metafile: true },
      });
      const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
      assert.ok(bytes <= limit, `${bytes} bytes`);
      assert.ok(bytes > limit / 3, `${bytes} bytes: is it there at all?`);
      for (const { imports } of Object.values(metafile.inputs)) {
        for (const { path, external } of imports) assert.ok(external !== true && !path.startsWith('node:'), path);
      }
    });
  }

  test('leaves React to whoever uses it', () => {
    const { peerDependenciesMeta } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      peerDependenciesMeta?: Record<string, { optional?: boolean }>;
    };
    assert.equal(peerDependenciesMeta?.react.optional, true);
  });
});

function link(name: string): void {
  const path = join(app, 'node_modules', name);
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(join(ROOT, 'node_modules', name), path);
}

/** The relay is in this process: it must not wait for the program. */
async function runProgram(
  file: string,
  url: string,
): Promise<{ stdout: string; stderr: string; status: number | null }> {
  const child = spawn(process.execPath, [file, url], { cwd: app, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { stdout, stderr, status: child.exitCode };
}
