import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';
import { Printed } from './printed.ts';
import { cleanEnv } from './programs.ts';

/** Debian's, which has the packages that other Pythons on the machine may lack. */
const PYTHON = '/usr/bin/python3';

/** A program that runs. */
export interface Running {
  printed: Printed;
  /** In a browser. */
  page?: Page;
  /** Ends it if it has not ended. */
  stop(): Promise<void>;
}

/** Runs a program in a folder, with Node or a shell or Python, and gathers what it prints. */
export function runInFolder(
  code: string,
  { how, folder, name }: { how: string; folder: string; name: string },
): Running {
  const [file, ...args] = commandOf(how, join(folder, name));
  writeFileSync(args[args.length - 1], code);
  const path = `/usr/bin:/bin:${dirname(process.execPath)}`;
  // A group of its own, so that what a shell has started ends with it.
  const child = spawn(file, args, { cwd: folder, env: cleanEnv({ PATH: path, HOME: folder }), detached: true });
  child.stdin.end();
  const printed = new Printed();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => printed.add(text));
  }
  const gone = new Promise<void>((resolve) => {
    child.once('close', (code, signal) => {
      printed.end(signal ?? (code === 0 ? 'well' : `exit code ${code}`));
      resolve();
    });
  });
  return {
    printed,
    stop: async () => {
      if (printed.over === undefined && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      await gone;
    },
  };
}

function commandOf(how: string, path: string): string[] {
  switch (how) {
    case 'node':
      return [process.execPath, `${path}.mjs`];
    case 'sh':
      return ['/bin/sh', '-e', `${path}.sh`];
    case 'python':
      // Unbuffered, as on a terminal.
      return [PYTHON, '-u', `${path}.py`];
    default:
      throw new Error(`nothing here runs ${JSON.stringify(how)}`);
  }
}

/** Why Python programs that need these modules, with commas between, can't run here, or false. */
export function missingModules(names = 'sys'): string | false {
  const { status } = spawnSync(PYTHON, ['-c', `import ${names}`]);
  return status === 0 ? false : `${PYTHON} lacks one of the modules ${names}`;
}

/** A page, at one address, of whichever program is served last. */
export class PageServer {
  #script: Uint8Array = new Uint8Array();
  #page = PAGE;
  readonly #server = createServer(({ url = '' }, response) => {
    const isScript = url.startsWith('/app.js');
    response.setHeader('content-type', `text/${isScript ? 'javascript' : 'html'}; charset=utf-8`);
    response.end(isScript ? this.#script : this.#page);
  });

  /** Answers the address. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await new Promise((resolve) => this.#server.once('listening', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** A program whose packages are those of a folder. */
  async serveCode(code: string, folder: string): Promise<void> {
    this.#script = await bundle({ stdin: { contents: code, resolveDir: folder, loader: 'jsx' } });
    this.#page = PAGE;
  }

  /** The program of a file, with the index.html beside it. */
  async serveFile(path: string): Promise<void> {
    this.#script = await bundle({ entryPoints: [path] });
    this.#page = readFileSync(join(dirname(path), 'index.html'), 'utf8');
  }
}

async function bundle(what: BuildOptions): Promise<Uint8Array> {
  const { outputFiles } = await build({
    ...what,
    ...{ bundle: true, format: 'esm', platform: 'browser', target: 'es2022', jsx: 'automatic', write: false },
    // Templates are compiled in the page.
    alias: { vue: 'vue/dist/vue.esm-bundler.js' },
    define: DEFINES,
  });
  return outputFiles[0].contents;
}

/** Runs the program of a page that is served at `url`, and gathers what it prints. */
export async function runInPage(
  browser: BrowserContext,
  url: string,
): Promise<Running & Required<Pick<Running, 'page'>>> {
  const printed = new Printed();
  const page = await browser.newPage();
  page.on('console', (message) => printed.add(`${message.text()}\n`));
  page.on('pageerror', (error) => printed.end(String(error)));
  await page.goto(url);
  page.once('close', () => printed.end('closed'));
  return { printed, page, stop: () => page.close() };
}

const PAGE =
  '<!doctype html><meta charset="utf-8"><title>Logs</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/app.js"></script>';
const DEFINES = {
  'process.env.NODE_ENV': '"production"',
  __VUE_OPTIONS_API__: 'true',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};
