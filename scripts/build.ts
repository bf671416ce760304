import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };
import { buildClient } from './build-client.ts';
import { entryScript, launcher } from './launchers.ts';

/**
 * Builds dist/ (or the folder that is given): both programs as split, minified modules, what they load later in files
 * of its own, and their launchers. All files lie in one folder, so that workers are found beside what starts them. The
 * library has a folder below it.
 */
const ROOT = join(import.meta.dirname, '..');

interface Program {
  name: string;
  entry: string;
  main: string;
  /** The command line, and the threads that are started by name (shared/worker.ts). */
  files: Record<string, string>;
  /** Whether SIGUSR1 is for somebody else. */
  passesSignals: boolean;
  /** Node's, which can't be set from inside. */
  flags: string[];
}

const PROGRAMS: Program[] = [
  {
    name: 'keruta-agent',
    entry: 'agent.mjs',
    main: 'agent-cli',
    files: { 'agent-cli': 'agent/cli.ts', 'spool-worker': 'agent/spool-worker.ts' },
    passesSignals: true,
    flags: [
      // A small young generation keeps the agent's memory small; its garbage is short-lived and its buffers lie outside.
      '--max-semi-space-size=1',
      // SIGUSR1 is for the script. --disable-sigusr1 would not do: it leaves the signal blocked, and no listener ever
      // hears of it. A listener (see entryScript) keeps the inspector shut, but for the milliseconds before it is there;
      // an inspector that opens in those can't be reached at this address.
      '--inspect-port=255.255.255.255:9229',
    ],
  },
  {
    name: 'keruta-relay',
    entry: 'relay.mjs',
    main: 'relay-cli',
    files: {
      'relay-cli': 'relay/cli.ts',
      'sqlite-writer': 'relay/store/sqlite-writer.ts',
      'sqlite-reader': 'relay/store/sqlite-reader.ts',
      'sqlite-merger': 'relay/store/sqlite-merger.ts',
    },
    passesSignals: false,
    flags: ['--disable-sigusr1'],
  },
];

const OPTIONS = {
  absWorkingDir: ROOT,
  format: 'esm',
  // .mjs is a module wherever the folder is copied to, also without a package.json above it.
  outExtension: { '.js': '.mjs' },
  chunkNames: '[name]-[hash]',
  platform: 'node',
  target: 'node22.19',
  bundle: true,
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  // Names stay: a stack trace from a user should say where it was.
  minifyIdentifiers: false,
  legalComments: 'external',
  // Native code is found in node_modules.
  external: ['better-sqlite3', 'bufferutil', 'utf-8-validate'],
  // Packages in CommonJS ask for Node's own modules with require.
  banner: { js: "import{createRequire as keruta_cr}from'node:module';const require=keruta_cr(import.meta.url);" },
} satisfies BuildOptions;

const outdir = resolve(process.argv[2] ?? join(ROOT, 'dist'));
rmSync(outdir, { recursive: true, force: true });
mkdirSync(outdir, { recursive: true });

const node = packageJson.engines.node.replace('>=', '');
for (const { name, entry, main, files, passesSignals, flags } of PROGRAMS) {
  // Each for itself: shared, their common parts would be split into many small files, and each costs start-up time.
  const { metafile } = await build({ ...OPTIONS, entryPoints: files, outdir, metafile: true });
  writeFileSync(join(outdir, entry), entryScript({ name, main: `${main}.mjs`, node, passesSignals }));
  writeFileSync(join(outdir, name), launcher({ name, entry, flags, node }));
  chmodSync(join(outdir, name), 0o755);
  const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
  const count = Object.keys(metafile.outputs).length + 2;
  process.stdout.write(`${join(outdir, name)}: ${count} files, ${Math.round(bytes / 1024)} KiB\n`);
}

// It is read when gRPC is served, and clients are made from it.
copyFileSync(join(ROOT, 'relay/api/otto/grpc/ottoscaler.proto'), join(outdir, 'ottoscaler.proto'));

const library = buildClient(outdir);
process.stdout.write(`${join(outdir, 'client')}: ${library.files} files, ${Math.round(library.bytes / 1024)} KiB\n`);
