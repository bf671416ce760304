import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { chromium, type BrowserContext } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

/** For tests that want a browser: why they are skipped, or false. */
export const NO_BROWSER = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM} on this machine`;

/** A browser of its own, with nothing in it, until `close`. */
export async function openBrowser(): Promise<{ browser: BrowserContext; close: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-browser-'));
  const browser = await chromium.launchPersistentContext(folder, {
    executablePath: CHROMIUM,
    headless: true,
    acceptDownloads: true,
    viewport: { width: 1000, height: 600 },
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
    ],
  });
  const close = async (): Promise<void> => {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { browser, close };
}

/** A page with this script (TypeScript, its imports relative to client/), at an address of this machine until `close`. */
export async function servePage(script: string): Promise<{ url: string; close: () => void }> {
  const { outputFiles } = await build({
    stdin: { contents: script, resolveDir: import.meta.dirname, loader: 'tsx' },
    ...{ bundle: true, format: 'esm', platform: 'browser', target: 'es2022', write: false, jsx: 'automatic' },
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  const page =
    '<!doctype html><meta charset="utf-8"><title>Logs</title><div id="root"></div><script type="module" src="/app.js"></script>';
  const server = createServer(({ url = '' }, response) => {
    const isScript = url.startsWith('/app.js');
    response.setHeader('content-type', isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isScript ? outputFiles[0].contents : page);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
