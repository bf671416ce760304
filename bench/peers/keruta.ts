import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import packageJson from '../../package.json' with { type: 'json' };
import { storeFile } from '../../relay/data-folder.ts';
import { openForReading } from '../../relay/store/sqlite-schema.ts';
import { freePort } from '../free-port.ts';
import type { Programs } from '../programs.ts';
import type { Pipeline } from './pipeline.ts';
import { listening, startSide } from './programs.ts';
import { Tally } from './tally.ts';

const TASK = 'bench';

/** Ours, in the same roles: the agent sends what a script prints, the relay receives. */
export function kerutaPipeline({ agent, relayProgram, path }: Programs): Pipeline {
  return {
    name: 'keruta',
    version: packageJson.version,
    note: 'script → redaction → spool → WebSocket with acks → store. Synced to the disk before each ack; no tee.',
    open: async ({ folder, text, lines }) => {
      const port = await freePort();
      const url = (path: string): URL => new URL(`http://127.0.0.1:${port}/api/v1/tasks/${TASK}${path}`);
      const env = {
        PATH: path,
        HOME: folder,
        KERUTA_API_URL: `http://127.0.0.1:${port}/api/v1`,
        KERUTA_SPOOL_DIR: join(folder, 'spool'),
      };
      const relay = [relayProgram, '--port', String(port), '--data', join(folder, 'data')];
      const script = ['execute', '--task-id', TASK, '--no-tee', '--drain-timeout', '1m', '--', 'cat', text];
      let arrived = 0;
      return {
        receiver: await startSide(relay, { ready: () => listening(port), env }),
        send: () => startSide([...agent, ...script], { env }),
        arrived: async () => {
          const { statusCode, body } = await request(url(''));
          const answer = (await body.json()) as { lines?: number };
          if (statusCode === 200) arrived = answer.lines ?? 0;
          return arrived;
        },
        kept: () => Promise.resolve(storedLines(join(folder, 'data'))),
        count: async () => {
          const tally = new Tally(lines);
          const { body } = await request(url('/logs/export?format=txt&plain=true'));
          for await (const bytes of body) tally.push(bytes as Buffer);
          return { lost: tally.lost, duplicated: tally.duplicated };
        },
      };
    },
  };
}

/** What is in the store of a relay that has ended: in a copy, since opening it would mend what the relay has to mend. */
function storedLines(data: string): number {
  const copy = `${data}-copy`;
  cpSync(data, copy, { recursive: true });
  const db = openForReading(storeFile(copy));
  try {
    const next = db.prepare<[string], number>('SELECT next_line FROM task WHERE task = ?').pluck().get(TASK);
    return (next ?? 1) - 1;
  } finally {
    db.close();
    rmSync(copy, { recursive: true });
  }
}
