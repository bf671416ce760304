import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { storeFile } from '../../relay/data-folder.ts';
import { Output } from '../output.ts';
import { cleanEnv, type Context } from '../programs.ts';

const RELAY = fileURLToPath(new URL('../../relay/cli.ts', import.meta.url));

/** What the numbering of a store that nobody has open is called. */
export function epochOf(data: string): string {
  const db = new Database(storeFile(data), { readonly: true });
  try {
    return db.prepare<[], string>('SELECT epoch FROM store').pluck().get() ?? '';
  } finally {
    db.close();
  }
}

/** What `keruta-relay verify` finds wrong with a store that nobody has open; undefined if it is sound. */
export async function verifyStore(context: Context, data: string): Promise<string | undefined> {
  const child = spawn(process.execPath, [RELAY, 'verify', '--data', data], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnv(),
    cwd: tmpdir(),
  });
  context.after(() => child.kill('SIGKILL'));
  const outputs = [new Output(child.stdout), new Output(child.stderr)];
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0 ? undefined : (await Promise.all(outputs.map((output) => output.all()))).join('').trim();
}
