import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/**
 * Builds the package's library into a folder: a module a source, so that a bundler takes what is used of it, and their
 * types. They need neither Node nor its types, which the compiler checks. Throws an Error that says what it found.
 */
export function buildClient(outdir: string): { files: number; bytes: number } {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '-p', join(ROOT, 'client/tsconfig.build.json'), '--outDir', outdir];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the library can't be built:\n${stdout}${stderr}`);
  const files = globSync('{client,shared}/**/*.{js,d.ts}', { cwd: outdir });
  let bytes = 0;
  for (const file of files) {
    const path = join(outdir, file);
    const text = readFileSync(path, 'utf8');
    bytes += text.length;
    // The compiler leaves the sources' names in types, where only some settings of a user's compiler find them.
    if (file.endsWith('.d.ts')) writeFileSync(path, text.replace(/(from '\.[^']*)\.tsx?(?=')/g, '$1.js'));
  }
  return { files: files.length, bytes };
}
