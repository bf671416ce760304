import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Attempt, AttemptOptions, Wrote } from './contract.ts';
import { exitCodeOf, FILLER, secretOf, SHAPES } from './text.ts';

/**
 * A script of the storm, ready to be run by an agent. It writes lines (`textOf` says which) until it is told to stop,
 * notes how many, and exits with the code of its seed. One that nobody stops ends by itself after some minutes. The
 * folder is the attempt's own, and made if it is not there; its path must suit a shell. Seeds are below 1,000,000.
 */
export function newAttempt({ task, number, shape, seed, folder }: AttemptOptions): Attempt {
  if (!isShape(shape)) throw new Error(`${shape} is none of ${SHAPES.join(', ')}`);
  mkdirSync(folder, { recursive: true });
  const exitCode = exitCodeOf(seed);
  return {
    ...{ task, number, shape, seed, exitCode },
    command: [...programOf(shape), task, String(number), String(seed), folder, String(exitCode), FILLER],
    env: { STORM_DEPLOY_TOKEN: secretOf(seed), KERUTA_LABELS: `attempt=${number}` },
    stop: () => writeFileSync(join(folder, 'stop'), ''),
    wrote: () => readWrote(join(folder, 'wrote')),
  };
}

/** None of them is a Node.js program: those would take over what the storm's own programs are preloaded with. */
function programOf(shape: (typeof SHAPES)[number]): string[] {
  const script = (name: string): string => fileURLToPath(new URL(`scripts/${name}`, import.meta.url));
  if (shape === 'flood') return ['awk', '-f', script('flood.awk')];
  if (shape === 'trickle') return ['sh', script('trickle.sh')];
  return ['perl', script('script.pl'), shape];
}

function readWrote(path: string): Wrote | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [stdout, stderr] = text.split(' ').map(Number);
  return { stdout, stderr };
}

function isShape(shape: string): shape is (typeof SHAPES)[number] {
  return (SHAPES as readonly string[]).includes(shape);
}
