import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext } from 'playwright-core';
import { relayConfig } from '../relay/relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay/relay.ts';
import { NO_BROWSER, openBrowser, servePage } from './browser.fixture.ts';

const TOKEN = 'a-token-that-is-long';

const SCRIPT = `
import { createClient, historyPage, tail } from './index.ts';

const query = new URLSearchParams(location.search);
const token = query.get('token');
const client = createClient({ url: query.get('relay'), token: async () => token, backoff: { minMs: 10, maxMs: 100 } });
globalThis.lines = { task: [], pipeline: [], all: [] };
globalThis.lags = 0;
const follow = async (name, target) => {
  try {
    for await (const event of tail(client, target, { from: 'start' })) {
      if (event.type === 'lag') lags++;
      if (event.type === 'log') lines[name].push(event.message);
    }
  } catch (error) {
    lines[name].push(error.code);
  }
};
void follow('task', { task: 't' });
void follow('pipeline', { pipeline: 't' });
void follow('all', { all: true });
globalThis.firstPage = () => historyPage(client, 't').then((page) => page.content.length, (error) => error.code);
`;

describe('in a browser', { skip: NO_BROWSER, timeout: 120_000 }, () => {
  let folder: string;
  let relay: Relay;
  let browser: BrowserContext;
  let page: { url: string };
  const closing: (() => Promise<void> | void)[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keruta-browser-test-'));
    const served = await servePage(SCRIPT);
    const opened = await openBrowser();
    page = served;
    browser = opened.browser;
    closing.push(served.close, opened.close);
    await start(0);
  });
  after(async () => {
    for (const close of closing) await close();
    await relay.stop();
    rmSync(folder, { recursive: true });
  });

  async function start(port: number): Promise<void> {
    const config = { dataDir: join(folder, 'data'), port, authTokens: [TOKEN], corsOrigins: [page.url] };
    relay = await startRelay(relayConfig(config));
  }

  async function post(...messages: string[]): Promise<void> {
    const response = await fetch(`${relay.url}/api/v1/tasks/t/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify(messages.map((message) => ({ level: 'INFO', message }))),
    });
    assert.equal(response.status, 201);
  }

  test('tails of a task, a pipeline and everything go through a restart of the relay without a gap', async () => {
    const tab = await browser.newPage();
    await post('1', '2');
    const { url } = relay;
    await tab.goto(`${page.url}/?relay=${encodeURIComponent(url)}&token=${TOKEN}`);
    const sees = (count: number): Promise<unknown> =>
      tab.waitForFunction(`Object.values(lines).every((seen) => seen.length === ${count})`);
    await sees(2);
    await post('3');
    await sees(3);
    await relay.stop();
    await start(Number(new URL(url).port));
    await post('4', '5');
    await sees(5);
    assert.ok(await tab.evaluate('lags > 0'));
    const all = ['1', '2', '3', '4', '5'];
    assert.deepEqual(await tab.evaluate('lines'), { task: all, pipeline: all, all });
    assert.equal(await tab.evaluate('firstPage()'), 5);
    await tab.close();
  });

  test('a token that is wrong is an error with a code', async () => {
    const tab = await browser.newPage();
    await tab.goto(`${page.url}/?relay=${encodeURIComponent(relay.url)}&token=wrong`);
    await tab.waitForFunction('Object.values(lines).every((seen) => seen.length === 1)');
    const code = ['UNAUTHORIZED'];
    assert.deepEqual(await tab.evaluate('lines'), { task: code, pipeline: code, all: code });
    assert.equal(await tab.evaluate('firstPage()'), 'UNAUTHORIZED');
    await tab.close();
  });
});
