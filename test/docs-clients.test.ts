import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { BrowserContext } from 'playwright-core';
import { NO_BROWSER, openBrowser } from '../client/browser.fixture.ts';
import { JOB_TASKS, linesIn, linesOf, scriptOf } from './doc-job.ts';
import { programsIn, type DocProgram } from './doc-programs.ts';
import { missingModules, PageServer, runInFolder, runInPage, type Running } from './doc-runner.ts';
import { FaultyProxy } from './faulty-proxy.ts';
import { installLibrary } from './library.ts';
import { relayEnv, runAgent, startRelay, temporaryFolder, type RelayProcess } from './programs.ts';
import { Random } from './random.ts';

/**
 * The programs that the pages of docs/ show run as they stand, but for the relay's address and the token, against a
 * relay with a job's log. Behind the fence stands what is expected:
 *   shows=build-1     it prints each line of the task once, in order; shows=release-1: of the pipeline's tasks;
 *                     shows=warnings: of the task's warnings alone
 *   draws=release-1   its page shows them
 *   resumes=yes       and so it does if its connections are cut meanwhile
 *   stores=deploy-1   the task ends up with lines that stand in the program
 *   prints=WORD       it prints this, too
 *   ends=never        it has to be stopped; all others end by themselves
 *   needs=MODULE      modules of Python's
 */
const DOCS = join(import.meta.dirname, '../docs');
const TOKEN = 'krt_a-token-that-is-long';
const PACKAGES = ['eventsource', 'socket.io-client', '@grpc/grpc-js', '@grpc/proto-loader', 'react', 'react-dom'];
const PATIENCE_MS = 60_000;
const FAULTS = { fates: ['cut'], bytes: [10_000, 60_000], faults: 2 } as const;

describe('the programs of the documents', { timeout: 600_000 }, () => {
  const cleaning: (() => Promise<void> | void)[] = [];
  const context = { after: (clean: () => Promise<void> | void) => void cleaning.push(clean) };
  const pages = new PageServer();
  const folder = temporaryFolder(context);
  let relay: RelayProcess;
  let grpc: string;
  let pageUrl: string;
  let browser: BrowserContext | undefined;

  before(async () => {
    pageUrl = await pages.listen();
    context.after(() => pages.close());
    relay = await startRelay(context, join(folder, 'data'), {
      args: ['--grpc-port', '0', '--auth-token', TOKEN],
      env: { KERUTA_RELAY_CORS_ORIGINS: pageUrl },
    });
    [, grpc] = await relay.stderr.has(/"url":"http:\/\/(127\.0\.0\.1:\d+)","msg":"gRPC is served"/);
    const env = { ...relayEnv(relay, join(folder, 'spool')), KERUTA_AUTH_TOKEN: TOKEN };
    for (const of of JOB_TASKS) {
      const names = ['--task-id', of.task, '--pipeline-id', 'release-1', '--worker-id', 'worker-1'];
      const { exitCode, stderr } = await runAgent(context, ['execute', ...names, '--', 'sh', '-c', scriptOf(of)], {
        env,
      });
      assert.equal(exitCode, 0, stderr);
    }
    installLibrary(folder, PACKAGES);
    if (NO_BROWSER !== false) return;
    const opened = await openBrowser();
    browser = opened.browser;
    context.after(opened.close);
  });
  after(async () => {
    for (const clean of cleaning.reverse()) await clean();
  });

  for (const document of globSync('*.md', { cwd: DOCS }).sort()) {
    for (const program of programsIn(readFileSync(join(DOCS, document), 'utf8'))) {
      for (const how of program.run) {
        const name = `${document}, line ${program.line}, in ${how}`;
        const skip = whyNot(how, program);
        test(name, { skip }, (t) => run(t, program, { how, url: relay.url }));
        if (program.given.resumes !== 'yes') continue;
        test(`${name}, with connections that break`, { skip }, async (t) => {
          const proxy = new FaultyProxy(relay.port, { ...FAULTS, random: new Random(program.line) });
          const { url } = await proxy.start(t);
          await run(t, program, { how, url });
          assert.equal(proxy.met, FAULTS.faults);
        });
      }
    }
  }

  async function run(t: TestContext, program: DocProgram, { how, url }: { how: string; url: string }): Promise<void> {
    const { given, line } = program;
    // What several programs store goes into tasks of their own.
    const task = given.stores && `${given.stores}-${how}`;
    const code = program.code
      .replaceAll(given.stores ?? '\0', task ?? '')
      .replaceAll('localhost:8080', new URL(url).host)
      .replaceAll('localhost:50051', grpc)
      .replaceAll('krt_YOURKEY', TOKEN);
    const running = await start(code, { how, line });
    t.after(() => running.stop());
    const patience = setTimeout(() => void running.stop(), PATIENCE_MS);
    const ends = given.ends !== 'never' && how !== 'browser';
    const { printed } = running;
    await printed.until(() => !ends && isShown(printed.text, given));
    clearTimeout(patience);
    if (ends) assert.equal(printed.over, 'well', printed.text);
    const { text } = printed;
    assert.deepEqual(linesIn(text), linesOf(given.shows), text.slice(-2000));
    assert.ok(text.includes(given.prints ?? ''), text.slice(-2000));
    if (given.draws !== undefined) await checkDrawn(running, given.draws);
    if (task !== undefined) await checkStored(task, code);
  }

  async function start(code: string, { how, line }: { how: string; line: number }): Promise<Running> {
    if (how !== 'browser') return runInFolder(code, { how, folder, name: `program-${line}` });
    assert.ok(browser !== undefined);
    await pages.serveCode(code, folder);
    return runInPage(browser, pageUrl);
  }

  async function checkDrawn({ page }: Running, draws: string): Promise<void> {
    assert.ok(page !== undefined);
    const expected = linesOf(draws);
    for (const lines of expected) await page.getByText(lines.at(-1) ?? '').waitFor();
    assert.deepEqual(linesIn(await page.locator('body').innerText()), expected);
  }

  /** The task has ended, and each of its lines stands in the program. */
  async function checkStored(task: string, code: string): Promise<void> {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await fetch(`${relay.url}/api/v1/tasks/${task}/logs`, { headers });
    const { content } = (await answer.json()) as { content: { message: string }[] };
    assert.ok(content.length > 0, `${task} has no lines`);
    for (const { message } of content) assert.ok(code.includes(message), message);
  }
});

function whyNot(how: string, { given }: DocProgram): string | false {
  if (how === 'browser') return NO_BROWSER;
  if (how === 'sh' && !existsSync('/usr/bin/curl')) return 'there is no /usr/bin/curl on this machine';
  return how === 'python' || given.needs !== undefined ? missingModules(given.needs) : false;
}

/** Whether a program that does not end has printed as much as it is to print. */
function isShown(text: string, { shows, prints = '' }: DocProgram['given']): boolean {
  const shown = linesIn(text);
  return linesOf(shows).every((lines, i) => shown[i].length >= lines.length) && text.includes(prints);
}
