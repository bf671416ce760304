import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };
import { entryScript, launcher } from './launchers.ts';

/**
 * Builds dist/ (or the folder that is given): both programs as split, minified modules, what they load later in files
 * of its own, and their launchers. All files lie in one folder, so that workers are found beside what starts them.
 */
const ROOT = join(import.meta.dirname, '..');

const ENTRY_POINTS = {
  'agent-cli': 'agent/cli.ts',
  'relay-cli': 'relay/cli.ts',
  // Threads that are started by name (shared/worker.ts).
  'spool-worker': 'agent/spool-worker.ts',
  'sqlite-writer': 'relay/store/sqlite-writer.ts',
  'sqlite-reader': 'relay/store/sqlite-reader.ts',
};

const PROGRAMS = [
  // A small young generation keeps the agent's memory small; its garbage is short-lived and its buffers lie outside.
  { name: 'keruta-agent', entry: 'agent.mjs', main: 'agent-cli.mjs', flags: ['--disable-sigusr1', '--max-semi-space-size=1'] },
  { name: 'keruta-relay', entry: 'relay.mjs', main: 'relay-cli.mjs', flags: ['--disable-sigusr1'] },
];

const outdir = process.argv[2] ?? join(ROOT, 'dist');
rmSync(outdir, { recursive: true, force: true });
mkdirSync(outdir, { recursive: true });

const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: ENTRY_POINTS,
  outdir,
  format: 'esm',
  // .mjs is a module wherever the folder is copied to, also without a package.json above it.
  outExtension: { '.js': '.mjs' },
  chunkNames: '[name]-[hash]',
  platform: 'node',
  target: 'node22.19',
  bundle: true,
  splitting: true,
  minify: true,
  // Stack traces and error names keep the names of the source.
  keepNames: true,
  legalComments: 'external',
  // Native code is found in node_modules.
  external: ['better-sqlite3', 'bufferutil', 'utf-8-validate'],
  // Packages in CommonJS ask for Node's own modules with require.
  banner: { js: "import{createRequire as keruta_cr}from'node:module';const require=keruta_cr(import.meta.url);" },
  metafile: true,
});

const node = packageJson.engines.node.replace('>=', '');
for (const { name, entry, main, flags } of PROGRAMS) {
  writeFileSync(join(outdir, entry), entryScript({ name, main, node }));
  writeFileSync(join(outdir, name), launcher({ name, entry, flags, node }));
  chmodSync(join(outdir, name), 0o755);
}

const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
const files = Object.keys(metafile.outputs).length + 2 * PROGRAMS.length;
process.stdout.write(`${outdir}: ${files} files, ${Math.round(bytes / 1024)} KiB\n`);
for (const { name } of PROGRAMS) process.stdout.write(`${join(outdir, name)} (${statSync(join(outdir, name)).size} bytes)\n`);
