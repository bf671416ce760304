/**
 * Loaded by Node ahead of agent and relay, in each of their threads (NODE_OPTIONS --import): puts the named points, and
 * if it is asked to a bug, into their source texts while they are loaded. A source that has changed so that a point has
 * lost its place ends the process.
 */
import { openSync, writeSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { ENV, type Arm } from './arming.ts';
import { bugNamed } from './bugs.ts';
import { bendClock } from './clock.ts';
import { edited, type Edit } from './edits.ts';
import { Fuse } from './fuse.ts';
import { editOf, ON_POINT, POINTS } from './points.ts';

const ROOT = new URL('../../', import.meta.url).href;

const arms = JSON.parse(process.env[ENV.arms] ?? '[]') as Arm[];
const journal = process.env[ENV.journal];
if (arms.length > 0 && journal === undefined) throw new Error(`${ENV.arms} without ${ENV.journal}`);
const fuse = new Fuse(arms, journal === undefined ? -1 : openSync(journal, 'a'));
Object.assign(globalThis, { [ON_POINT]: (point: string) => fuse.passed(point) });

const clock = process.env[ENV.clock];
if (clock !== undefined) bendClock(clock);

const bug = process.env[ENV.bug];
const armed = new Set(arms.map(({ point }) => point));
const byFile = new Map<string, Edit[]>();
const edits = [
  // A bug first: it may take the place of text that a point is anchored to.
  ...(bug === undefined ? [] : bugNamed(bug).edits),
  ...POINTS.filter(({ name }) => armed.has(name)).map(editOf),
];
for (const edit of edits) {
  const url = ROOT + edit.file;
  byFile.set(url, [...(byFile.get(url) ?? []), edit]);
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const ofFile = byFile.get(url);
    if (ofFile === undefined) return loaded;
    try {
      return { ...loaded, source: edited(textOf(loaded.source), ofFile) };
    } catch (error) {
      writeSync(2, `${fileURLToPath(import.meta.url)}: ${(error as Error).message}\n`);
      process.kill(process.pid, 'SIGABRT');
      throw error;
    }
  },
});

function textOf(source: unknown): string {
  return typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString();
}
