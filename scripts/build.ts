import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };
import { buildClient } from './build-client.ts';
import { cachedEntryScript, entryScript, launcher } from './launchers.ts';
import { BESIDE, LEAN, LEAN_SCRIPT } from './lean-agent.ts';

/**
 * Builds dist/ (or the folder that is given): the relay as split, minified modules, what it loads later in files of its
 * own; the agent as one script (scripts/lean-agent.ts); and their launchers. All files lie in one folder, so that
 * workers are found beside what starts them. The library has a folder below it.
 */
const ROOT = join(import.meta.dirname, '..');

interface Program {
  name: string;
  entry: string;
  /** What Node starts, given the main file. */
  entryScript: (main: string) => string;
  main: string;
  /** The command line, and the threads that are started by name (shared/worker.ts). */
  builds: { files: Record<string, string>; options: typeof SPLIT | typeof LEAN | typeof LEAN_SCRIPT }[];
  /** Node's, which can't be set from inside. */
  flags: string[];
  /** An older Node would stop at one of them. */
  newFlags: boolean;
  /** Whether it starts scripts. */
  pipes: boolean;
}

const node = packageJson.engines.node.replace('>=', '');

/** Modules of their own for what is loaded later. */
const SPLIT = {
  format: 'esm',
  // .mjs is a module wherever the folder is copied to, also without a package.json above it.
  outExtension: { '.js': '.mjs' },
  chunkNames: '[name]-[hash]',
  splitting: true,
  // Packages in CommonJS ask for Node's own modules with require.
  banner: { js: "import{createRequire as keruta_cr}from'node:module';const require=keruta_cr(import.meta.url);" },
} satisfies BuildOptions;

const PROGRAMS: Program[] = [
  {
    name: 'keruta-agent',
    entry: 'agent.mjs',
    entryScript: (main) => cachedEntryScript({ name: 'keruta-agent', node, main, build: contentHash(main) }),
    main: 'agent-cli.cjs',
    builds: [
      { files: { 'agent-cli': 'agent/cli.ts' }, options: LEAN_SCRIPT },
      { files: { 'spool-worker': 'agent/spool-worker.ts' }, options: LEAN },
      { files: Object.fromEntries(BESIDE.map((name) => [name, name])), options: LEAN },
    ],
    flags: [
      // A small young generation keeps the agent's memory small; its garbage is short-lived and its buffers lie outside.
      '--max-semi-space-size=1',
      // SIGUSR1 is for the script. --disable-sigusr1 would not do: it leaves the signal blocked, and no listener ever
      // hears of it. A listener (see cachedEntryScript) keeps the inspector shut, but for the milliseconds before it is
      // there; an inspector that opens in those can't be reached at this address.
      '--inspect-port=255.255.255.255:9229',
    ],
    newFlags: false,
    pipes: true,
  },
  {
    name: 'keruta-relay',
    entry: 'relay.mjs',
    entryScript: (main) => entryScript({ name: 'keruta-relay', node, main }),
    main: 'relay-cli.mjs',
    builds: [
      {
        files: {
          'relay-cli': 'relay/cli.ts',
          'sqlite-writer': 'relay/store/sqlite-writer.ts',
          'sqlite-reader': 'relay/store/sqlite-reader.ts',
          'sqlite-merger': 'relay/store/sqlite-merger.ts',
          'sqlite-elsewhere': 'relay/store/sqlite-elsewhere.ts',
          'search-worker': 'relay/search/search-worker.ts',
        },
        options: SPLIT,
      },
    ],
    flags: [
      '--disable-sigusr1',
      // On a large machine V8 takes 128 MiB of each thread for what is young, and lets garbage hold buffers for as long.
      '--max-semi-space-size=16',
    ],
    newFlags: true,
    pipes: false,
  },
];

const OPTIONS = {
  absWorkingDir: ROOT,
  platform: 'node',
  target: 'node22.19',
  bundle: true,
  minifySyntax: true,
  minifyWhitespace: true,
  // Names stay: a stack trace from a user should say where it was.
  minifyIdentifiers: false,
  legalComments: 'external',
  // Native code is found in node_modules.
  external: ['better-sqlite3', 'bufferutil', 'utf-8-validate'],
  metafile: true,
} satisfies BuildOptions;

const outdir = resolve(process.argv[2] ?? join(ROOT, 'dist'));
rmSync(outdir, { recursive: true, force: true });
mkdirSync(outdir, { recursive: true });

for (const { name, entry, entryScript, main, builds, ...start } of PROGRAMS) {
  const outputs: { bytes: number }[] = [];
  for (const { files, options } of builds) {
    // Each for itself: shared, their common parts would be split into many small files, and each costs start-up time.
    const { metafile } = await build({ ...OPTIONS, ...options, entryPoints: files, outdir });
    outputs.push(...Object.values(metafile.outputs));
  }
  writeFileSync(join(outdir, entry), entryScript(main));
  writeFileSync(join(outdir, name), launcher({ name, entry, node, ...start }));
  chmodSync(join(outdir, name), 0o755);
  const bytes = outputs.reduce((sum, output) => sum + output.bytes, 0);
  process.stdout.write(`${join(outdir, name)}: ${outputs.length + 2} files, ${Math.round(bytes / 1024)} KiB\n`);
}

// It is read when gRPC is served, and clients are made from it.
copyFileSync(join(ROOT, 'relay/api/otto/grpc/ottoscaler.proto'), join(outdir, 'ottoscaler.proto'));

const library = buildClient(outdir);
process.stdout.write(`${join(outdir, 'client')}: ${library.files} files, ${Math.round(library.bytes / 1024)} KiB\n`);

/** Of a file that was built, short. */
function contentHash(file: string): string {
  return createHash('sha256')
    .update(readFileSync(join(outdir, file)))
    .digest('hex')
    .slice(0, 12);
}
