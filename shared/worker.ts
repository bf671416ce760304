import { extname } from 'node:path';

/**
 * The file of a worker thread beside the module that starts it: `.ts` from source, and what the bundle was built as.
 * Every name that is used here is an entry point of the build (scripts/build.ts), which puts all its files into one
 * folder, so that `beside` stays true.
 */
export function workerUrl(name: string, moduleUrl: string): URL {
  return new URL(`./${name}${extname(new URL(moduleUrl).pathname)}`, moduleUrl);
}
