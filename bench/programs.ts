import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startServer, type Server } from './processes.ts';

const ROOT = join(import.meta.dirname, '..');

/** Node, as it is started for programs of the benchmark itself. */
export const NODE = process.execPath;

/** This Node first: it is what the programs' launchers find. */
const PATH = `${dirname(NODE)}:${process.env.PATH}`;

/** Both programs as they are installed, built into a folder that is the measurement's own: whoever builds meanwhile
 * does not change what is measured. */
export class Programs {
  readonly agent: readonly string[];
  readonly relayProgram: string;
  /** With the Node that their launchers are to find. */
  readonly path = PATH;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    const dist = join(folder, 'dist');
    execFileSync(NODE, [join(ROOT, 'scripts/build.ts'), dist], { stdio: ['ignore', 'ignore', 'inherit'] });
    // What is native stays in its package.
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    this.agent = [join(dist, 'keruta-agent')];
    this.relayProgram = join(dist, 'keruta-relay');
  }

  /** Starts a relay; `data` is the name of its folder below the measurement's own. */
  async relay(data: string, { port = 0, args = [], env: more = {} }: RelayOptions = {}): Promise<Relay> {
    const dataFolder = join(this.#folder, data);
    mkdirSync(dataFolder, { recursive: true });
    const command = [this.relayProgram, '--port', String(port), '--data', dataFolder, ...args];
    const server = await startServer(command, { PATH, ...more });
    const url = /https?:\/\/\S+/.exec(server.line)?.[0];
    if (url === undefined) throw new Error(`the relay said ${server.line}`);
    const env = {
      PATH,
      HOME: this.#folder,
      KERUTA_API_URL: `${url}/api/v1`,
      KERUTA_SPOOL_DIR: join(this.#folder, `${data}-spool`),
    };
    return { ...server, url: new URL(url), data: dataFolder, env };
  }
}

export interface RelayOptions {
  /** Any that is free, if it is not given. */
  port?: number;
  args?: string[];
  env?: NodeJS.ProcessEnv;
}

export interface Relay extends Server {
  url: URL;
  /** The folder of its store. */
  data: string;
  /** What an agent needs to find it, and nothing of the caller's own environment. */
  env: NodeJS.ProcessEnv;
}
