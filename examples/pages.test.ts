import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { NO_BROWSER, openBrowser } from '../client/browser.fixture.ts';
import { relayConfig } from '../relay/relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay/relay.ts';
import { PageServer, runInPage } from '../test/doc-runner.ts';

/** The examples that are pages, as a browser shows them. */
const TOKEN = 'a-token-that-is-long';

describe('the examples that are pages', { skip: NO_BROWSER, timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-pages-test-'));
  const server = new PageServer();
  const closing: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })];
  let relay: Relay;
  let browser: BrowserContext;
  let address: string;

  before(async () => {
    address = await server.listen();
    closing.push(() => server.close());
    relay = await startRelay(relayConfig({ dataDir: folder, authTokens: [TOKEN], corsOrigins: [address] }));
    closing.push(() => relay.stop());
    const opened = await openBrowser();
    browser = opened.browser;
    closing.push(opened.close);
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function post(task: string, lines: { level: string; message: string }[]): Promise<void> {
    const response = await fetch(`${relay.url}/api/v1/tasks/${task}/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify(lines),
    });
    assert.equal(response.status, 201);
  }

  /** The page of an example, about a task that has three lines. */
  async function open(file: string, { task, name }: { task: string; name: string }): Promise<Page> {
    await post(task, [
      { level: 'INFO', message: 'one' },
      { level: 'WARN', message: '<b>two</b>' },
      { level: 'ERROR', message: 'three' },
    ]);
    await server.serveFile(join(import.meta.dirname, file));
    const query = new URLSearchParams({ relay: relay.url, token: TOKEN, [name]: task });
    const { page, printed } = await runInPage(browser, `${address}/?${query.toString()}`);
    page.setDefaultTimeout(30_000);
    closing.push(() => assert.equal(printed.text, '', 'the page has complained'));
    return page;
  }

  test('with React: lines there are, lines that come, and those that match a filter', async () => {
    const page = await open('react/app.tsx', { task: 'with-react', name: 'pipeline' });
    const log = page.getByRole('log');
    await log.getByText('three').waitFor();
    assert.match(await log.innerText(), /one[^]*<b>two<\/b>[^]*three/);
    await post('with-react', [{ level: 'INFO', message: 'four' }]);
    await log.getByText('four').waitFor();
    await page.getByLabel('Level').selectOption('WARN');
    await log.getByText('three').waitFor({ state: 'detached' });
    const shown = await log.innerText();
    assert.match(shown, /<b>two<\/b>/);
    assert.doesNotMatch(shown, /one|three|four/);
    await page.close();
  });

  test('with Vue: lines there are, lines that come, and those that match a filter', async () => {
    const page = await open('vue/app.ts', { task: 'with-vue', name: 'task' });
    const log = page.getByRole('log');
    await log.getByText('three').waitFor();
    assert.deepEqual(await messages(page), ['one', '<b>two</b>', 'three']);
    await post('with-vue', [{ level: 'INFO', message: 'four' }]);
    await log.getByText('four').waitFor();
    await page.getByLabel('Text').fill('O');
    await log.getByText('three').waitFor({ state: 'detached' });
    await log.getByText('four').waitFor();
    assert.deepEqual(await messages(page), ['one', '<b>two</b>', 'four']);
    await page.getByLabel('Level').selectOption('WARN');
    await log.getByText('four').waitFor({ state: 'detached' });
    await log.getByText('two').waitFor();
    assert.deepEqual(await messages(page), ['<b>two</b>']);
    await page.close();
  });

  async function messages(page: Page): Promise<string[]> {
    const rows = await page.locator('[data-level]').allInnerTexts();
    return rows.map((row) => row.slice('12:34:56.789 '.length));
  }
});
