import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cleanEnv } from '../../programs.ts';
import { Follower } from './follower.ts';
import { gapSighting, lineSighting, type KerutaGap, type KerutaLine } from './sightings.ts';

/** `keruta-agent logs --follow`: ends with the task, or is killed; another one goes on behind the last line. */
export class LogsProcessReader extends Follower {
  protected override async session(signal: AbortSignal): Promise<void> {
    const [task] = this.tasks;
    const { url, caFile, tokens } = this.entrance;
    const from = String(this.next.get(task) ?? 1);
    const child = spawn(process.execPath, [AGENT, 'logs', task, '--follow', '--json', '--from', from], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: cleanEnv({
        KERUTA_API_URL: `${url}/api/v1`,
        ...(caFile !== undefined && { KERUTA_WEBSOCKET_CERT_PATH: caFile }),
        ...(tokens !== undefined && { KERUTA_AUTH_TOKEN: tokens.read }),
      }),
      cwd: tmpdir(),
    });
    const gone = once(child, 'close');
    const kill = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', kill);
    if (signal.aborted) kill();
    try {
      let last: string | undefined;
      for await (const row of createInterface({ input: child.stdout })) {
        // The last one may be cut off.
        if (last !== undefined) this.#take(task, last);
        last = row;
      }
      await gone;
      if (last !== undefined && child.signalCode === null) this.#take(task, last);
    } finally {
      signal.removeEventListener('abort', kill);
    }
    await this.pause(AFTER_END_MS, signal);
  }

  #take(task: string, row: string): void {
    const message = JSON.parse(row) as (KerutaLine & { type: 'log' }) | (KerutaGap & { type: 'gap' }) | { type: 'end' };
    if (message.type === 'log') this.saw(lineSighting(message));
    else if (message.type === 'gap') this.saw(gapSighting(task, message));
  }
}

const AGENT = fileURLToPath(new URL('../../../agent/cli.ts', import.meta.url));
/** A program costs something to start. */
const AFTER_END_MS = 1000;
