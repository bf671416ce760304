import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { measure, type OpenPipeline, type Pipeline, type Side } from './pipeline.ts';

const LINES = 100;

/** A receiver that gets ten more lines each time that somebody looks, and does not write down those of `missed`. */
class Receiver implements OpenPipeline {
  readonly did: string[] = [];
  arrivals = 0;
  duplicated = 0;
  readonly #missed: number;

  constructor({ missed = 0 } = {}) {
    this.#missed = missed;
  }

  get receiver(): Side {
    return this.#side('receiver', () => (this.duplicated = 3));
  }

  send(): Promise<Side> {
    return Promise.resolve(this.#side('sender', () => undefined));
  }

  arrived(): Promise<number> {
    this.arrivals = Math.min(LINES, this.arrivals + 10);
    return Promise.resolve(this.arrivals);
  }

  kept(): Promise<number> {
    this.did.push('asked what it kept');
    return Promise.resolve(this.arrivals - this.#missed);
  }

  count(): Promise<{ lost: number; duplicated: number }> {
    return Promise.resolve({ lost: 0, duplicated: this.duplicated });
  }

  #side(name: string, onAgain: () => void): Side {
    const does = (what: string) => () => {
      this.did.push(`${name} ${what}`);
      return Promise.resolve();
    };
    const again = (): Promise<void> => {
      // What was not answered comes once more, a while after all has arrived.
      setTimeout(onAgain, 300);
      return does('again')();
    };
    return { used: { cpu: 1, peak: 7 }, stop: does('stop'), kill: does('kill'), again };
  }
}

function pipelineOf(t: TestContext): { pipeline: Pipeline; opened: Receiver[]; run: Parameters<typeof measure>[1] } {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const opened: Receiver[] = [];
  const open = (): Promise<Receiver> => {
    const one = new Receiver({ missed: 2 });
    opened.push(one);
    return Promise.resolve(one);
  };
  const what = { text: 'text', lines: LINES };
  return {
    pipeline: { name: 'fake', version: '1', note: '', open },
    opened,
    run: { folder, ...what, restarts: what, onlyKill: true },
  };
}

test('a receiver is killed in the middle, and what comes late is counted', async (t) => {
  const { pipeline, opened, run } = pipelineOf(t);
  const { restarted, killed, sent } = await measure(pipeline, run);
  assert.equal(restarted, undefined);
  assert.deepEqual(killed, { lost: 0, duplicated: 3, kept: 0.28 });
  assert.equal(sent?.cpuSecondsPerMillion, (2 * 1e6) / LINES);
  assert.deepEqual(opened[1].did, [
    ...['receiver kill', 'asked what it kept', 'receiver again'],
    ...['sender stop', 'receiver stop'],
  ]);
});

test('an undisturbed run that loses lines has no figures', async (t) => {
  const { pipeline, opened, run } = pipelineOf(t);
  const lossy: Pipeline = {
    ...pipeline,
    open: async (sending) =>
      Object.assign(await pipeline.open(sending), { count: () => Promise.resolve({ lost: 1, duplicated: 0 }) }),
  };
  await assert.rejects(measure(lossy, run), /1 of 100 lines were lost and 0 came twice/);
  assert.deepEqual(opened[0].did, ['sender stop', 'receiver stop']);
});
