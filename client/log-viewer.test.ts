import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { relayConfig } from '../relay/relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay/relay.ts';
import { NO_BROWSER, openBrowser, servePage } from './browser.fixture.ts';

/** The viewer with the properties that the address gives. */
const SCRIPT = `
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { LogViewer } from './react/log-viewer.tsx';

const root = createRoot(document.getElementById('root'));
globalThis.show = (props) => root.render(<StrictMode><LogViewer {...props} /></StrictMode>);
show(JSON.parse(new URLSearchParams(location.search).get('props')));
`;

describe('the viewer', { skip: NO_BROWSER, timeout: 180_000 }, () => {
  let folder: string;
  let relay: Relay;
  let browser: BrowserContext;
  let url: string;
  const closing: (() => Promise<void> | void)[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keruta-viewer-test-'));
    const page = await servePage(SCRIPT);
    url = page.url;
    relay = await startRelay(relayConfig({ dataDir: join(folder, 'data'), corsOrigins: [url] }));
    const opened = await openBrowser();
    browser = opened.browser;
    closing.push(page.close, opened.close);
  });
  after(async () => {
    for (const close of closing) await close();
    await relay.stop();
    rmSync(folder, { recursive: true });
  });

  async function post(task: string, lines: object[]): Promise<void> {
    const response = await fetch(`${relay.url}/api/v1/tasks/${task}/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(lines),
    });
    assert.equal(response.status, 201);
  }

  async function show(props: object): Promise<Page> {
    const tab = await browser.newPage();
    await tab.goto(`${url}/?props=${encodeURIComponent(JSON.stringify({ baseUrl: relay.url, ...props }))}`);
    return tab;
  }

  const counted = (tab: Page, text: string): Promise<void> =>
    tab.getByLabel('Lines shown and kept').getByText(text, { exact: true }).waitFor();
  const says = (tab: Page, status: string): Promise<void> =>
    tab
      .getByRole('status')
      .filter({ hasText: new RegExp(`^${status}$`) })
      .waitFor();
  const rows = (tab: Page): Promise<string[]> => tab.getByRole('log', { name: 'Log' }).locator('> div').allInnerTexts();
  const messages = async (tab: Page): Promise<string[]> => (await rows(tab)).map((row) => row.split(' ').at(-1) ?? '');

  const LINES = [
    { level: 'INFO', source: 'stdout', message: 'started' },
    { level: 'ERROR', source: 'stderr', message: 'failed' },
    { level: 'DEBUG', source: 'agent', message: 'looked' },
    { level: 'WARN', source: 'stderr', message: 'careful' },
  ];

  test('shows what there is and what comes, each line once', async () => {
    await post('live', LINES);
    const tab = await show({ jobRunId: 'live' });
    await counted(tab, '4 / 4 lines');
    await post('live', [{ level: 'INFO', message: 'later' }]);
    await counted(tab, '5 / 5 lines');
    assert.deepEqual(await messages(tab), ['started', 'failed', 'looked', 'careful', 'later']);
    assert.match((await rows(tab))[1], /^\d\d:\d\d:\d\d\.\d{3} ERROR stderr live failed$/);
    await says(tab, 'connected');
    assert.equal(
      await tab.getByRole('log').evaluate((box) => (box as unknown as { clientHeight: number }).clientHeight),
      498,
    );
    await tab.close();
  });

  test('filters by level, stream and text, and counts what is shown and kept', async () => {
    await post('filters', LINES);
    const tab = await show({ jobRunId: 'filters' });
    await counted(tab, '4 / 4 lines');
    await tab.getByLabel('Level').selectOption('ERROR');
    await counted(tab, '1 / 4 lines');
    assert.deepEqual(await messages(tab), ['failed']);
    await tab.getByLabel('Level').selectOption('all');
    await tab.getByLabel('Stream').selectOption({ label: 'system' });
    await counted(tab, '1 / 4 lines');
    assert.deepEqual(await messages(tab), ['looked']);
    await tab.getByLabel('Stream').selectOption('all');
    await tab.getByLabel('Text').fill('ED');
    await counted(tab, '3 / 4 lines');
    assert.deepEqual(await messages(tab), ['started', 'failed', 'looked']);
    await tab.getByLabel('Text').fill('nothing of the kind');
    await counted(tab, '0 / 4 lines');
    assert.deepEqual(await rows(tab), ['No line matches the filters']);
    await tab.close();
  });

  test('stops, and goes on with what it has missed', async () => {
    await post('stops', LINES.slice(0, 1));
    const tab = await show({ jobRunId: 'stops' });
    await counted(tab, '1 / 1 lines');
    await tab.getByRole('button', { name: 'Stop' }).click();
    await says(tab, 'stopped');
    await post('stops', LINES.slice(1, 3));
    await tab.getByRole('button', { name: 'Start' }).click();
    await counted(tab, '3 / 3 lines');
    assert.deepEqual(await messages(tab), ['started', 'failed', 'looked']);
    await tab.getByRole('button', { name: 'Clear' }).click();
    await counted(tab, '0 / 0 lines');
    await post('stops', LINES.slice(3));
    await counted(tab, '1 / 1 lines');
    await tab.close();
  });

  test('does not begin by itself if it is not to', async () => {
    const tab = await show({ jobRunId: 'live', autoStart: false });
    await tab.getByText('No logs yet').waitFor();
    await tab.getByRole('button', { name: 'Start' }).click();
    await tab.getByText('started').waitFor();
    await tab.close();
  });

  test('keeps the last lines only, and the newest in sight unless somebody has scrolled away', async () => {
    const numbered = (from: number) =>
      Array.from({ length: 100 }, (_, i) => ({ level: 'INFO', message: `n${from + i}` }));
    await post('many', [...numbered(1), ...numbered(101)]);
    const tab = await show({ jobRunId: 'many', maxLogs: 50, height: '200px' });
    await counted(tab, '50 / 50 lines');
    assert.deepEqual([(await messages(tab))[0], (await messages(tab)).at(-1)], ['n151', 'n200']);
    const log = tab.getByRole('log');
    const place = (): Promise<number> => log.evaluate((box) => (box as unknown as { scrollTop: number }).scrollTop);
    const atEnd = await place();
    assert.ok(atEnd > 0);
    await log.evaluate((box) => {
      (box as unknown as { scrollTop: number }).scrollTop = 0;
      return new Promise((resolve) =>
        (globalThis as unknown as { requestAnimationFrame: (done: unknown) => void }).requestAnimationFrame(resolve),
      );
    });
    await post('many', [{ level: 'INFO', message: 'n201' }]);
    await tab.getByText('n201').waitFor({ state: 'attached' });
    assert.equal(await place(), 0);
    await tab.close();
  });

  test('keeps more lines than it begins with', async () => {
    const numbered = Array.from({ length: 1500 }, (_, i) => ({ level: 'INFO', message: `n${i + 1}` }));
    await post('more', numbered.slice(0, 800));
    await post('more', numbered.slice(800));
    const tab = await show({ jobRunId: 'more', maxLogs: 2000 });
    await counted(tab, '1000 / 1000 lines');
    await post('more', [{ level: 'INFO', message: 'n1501' }]);
    await counted(tab, '1001 / 1001 lines');
    await tab.close();
  });

  test('shows another job run when it is told to, also after one that it could not show', async () => {
    await post('first', LINES.slice(0, 1));
    await post('second', LINES.slice(1, 3));
    const tab = await show({ jobRunId: 'x'.repeat(2000) });
    await tab.getByRole('alert').waitFor();
    await says(tab, 'failed');
    const change = (jobRunId: string): Promise<void> =>
      tab.evaluate(`show(${JSON.stringify({ baseUrl: relay.url, jobRunId })})`);
    await change('first');
    await counted(tab, '1 / 1 lines');
    await tab.getByRole('alert').waitFor({ state: 'detached' });
    await change('second');
    await counted(tab, '2 / 2 lines');
    assert.deepEqual(await messages(tab), ['failed', 'looked']);
    await says(tab, 'connected');
    await tab.getByRole('button', { name: 'Stop' }).click();
    await change('first');
    await tab.getByText('No logs yet').waitFor();
    await says(tab, 'stopped');
    await tab.close();
  });

  test('shows markup as the text that it is', async () => {
    const message = '<img/src=x/onerror="globalThis.hacked=1"><b>bold</b>';
    await post('markup', [{ level: 'INFO', message }]);
    const tab = await show({ jobRunId: 'markup' });
    await tab.getByText(message).waitFor();
    assert.equal(await tab.locator('b, img').count(), 0);
    assert.equal(await tab.evaluate('globalThis.hacked'), undefined);
    await tab.close();
  });

  test('saves a job run as the relay has it, and of all logs what is shown', async () => {
    const tab = await show({ jobRunId: 'live' });
    await tab.getByText('later').waitFor();
    const [whole] = await Promise.all([
      tab.waitForEvent('download'),
      tab.getByRole('button', { name: 'Download' }).click(),
    ]);
    assert.match(
      readFileSync(await whole.path(), 'utf8'),
      /^\[.*\] \[job\] \[info\] \[stdout\] started\n(.*\n){3}.* later\n$/,
    );
    await tab.close();

    const all = await show({});
    await post('anything', LINES.slice(0, 1));
    await all.getByText('anything').waitFor();
    await all.getByLabel('Text').fill('anything');
    await counted(all, `1 / ${(await all.getByLabel('Lines shown and kept').innerText()).split(' ')[2]} lines`);
    const [shown] = await Promise.all([
      all.waitForEvent('download'),
      all.getByRole('button', { name: 'Download' }).click(),
    ]);
    assert.match(readFileSync(await shown.path(), 'utf8'), /^\[.*\] \[info\] \[stdout\] started\n$/);
    await all.close();
  });

  test('says what is wrong', async () => {
    const tab = await show({ jobRunId: 'live', baseUrl: 'http://127.0.0.1:1' });
    await tab.getByRole('alert').getByText("can't be reached").waitFor();
    await says(tab, 'connecting');
    await tab.close();
  });
});
