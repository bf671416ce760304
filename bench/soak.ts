import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Programs } from './programs.ts';
import { judge } from './soak/judge.ts';
import { Jobs, startSteady } from './soak/load.ts';
import { Observer } from './soak/observe.ts';
import { Problems } from './soak/problems.ts';
import { Follower, Visitors } from './soak/readers.ts';
import { Requests } from './soak/requests.ts';
import { Series } from './soak/series.ts';

/**
 * A relay under steady load for as long as one likes: agents that print all the time and in bursts, short jobs, readers
 * over every API who come and go, pages and searches, retention and merging at work. It prints how relay and agents are
 * doing, and ends with 1 if something grew that should not, if a line was lost or came twice, or if anything failed.
 */
const USAGE = `Usage: npm run soak -- [options]

  --minutes M   how long (default: 10; below 5, growth is not judged)
  --agents N    that print all the time (default: 4)
  --rate N      lines a second of each (default: 2000; and every 10 s 10,000 more at once)
  --every S     seconds from one line of figures to the next (default: 10, or a tenth of it all)
  --csv FILE    writes the figures there, too
  --seed N      of what is left to chance (default: 1)`;

const options = readOptions();
const folder = mkdtempSync(join(tmpdir(), 'keruta-soak-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));

const seconds = options.minutes * 60;
const problems = new Problems();
const programs = new Programs(folder);
const relay = await programs.relay('soak', { args: ['--retention-max-bytes', '16MiB', '--log-level', 'warn'] });
const random = randomFrom(options.seed);

const load = { relay, programs, problems };
const steady = startSteady(load, { agents: options.agents, linesPerSecond: options.rate, seconds });
const tasks = steady.map(({ task }) => task);
const followers = steady.map((agent) => new Follower(relay, agent));
await Promise.all(followers.map((follower) => follower.ready));
// Who comes later finds all tasks.
await Promise.race([Promise.all(followers.map((follower) => follower.begun)), steady[0].ended]);
const jobs = new Jobs(load);
const visitors = new Visitors({ relay, tasks, problems, random });
const requests = new Requests({ relay, tasks, problems, random });

const series = new Series({ csv: options.csv, say: (line) => console.log(line) });
const observer = new Observer({ relay, steady, followers });
const over = new AbortController();
const isOver = (): boolean => over.signal.aborted;
// They do not end at the same moment.
const firstEnded = Promise.race(steady.map((agent) => agent.ended)).then(() => over.abort());
for (let next = options.every; next <= seconds - 1; next += options.every) {
  await Promise.race([sleep(options.every * 1000), firstEnded]);
  if (isOver()) break;
  const readers = followers.length + visitors.present;
  const known = { readers, jobs: jobs.done, visits: visitors.visits, requests: requests.done };
  try {
    series.add(await observer.sample(known));
  } catch (error) {
    // Agents that have just ended have no figures any more; those that should not have are problems already.
    if (!isOver()) problems.add(`relay and agents could not be looked at: ${(error as Error).message}`);
    break;
  }
}
await Promise.all(steady.map((agent) => agent.ended));
await Promise.all(followers.map((follower) => follower.finish(problems)));
await Promise.all([visitors.stop(), requests.stop(), jobs.stop()]);
await relay.stop().catch((error: unknown) => problems.add((error as Error).message));

const followed = followers.map(({ sequences }) => sequences);
const sum = (of: 'lines' | 'lost' | 'again'): number => followed.reduce((total, one) => total + one[of], 0);
for (const [i, { lost, again }] of followed.entries()) {
  if (lost + again > 0) problems.add(`who followed ${tasks[i]} missed ${lost} lines and got ${again} again`);
}
const growth = judge(series.samples);
for (const { bad, says } of growth ?? []) if (bad) problems.add(says);

console.log(
  [
    '',
    `${sum('lines').toLocaleString('en-US')} lines followed: ${sum('lost')} lost, ${sum('again')} twice or in the wrong order.`,
    `${visitors.found.lines.toLocaleString('en-US')} lines read by ${visitors.visits} visitors: ${visitors.found.lost} lost, ${visitors.found.again} twice or in the wrong order.`,
    `${jobs.done} short jobs, ${requests.done} requests.`,
    ...(growth === undefined
      ? ['Too short to say what grows: that takes about five minutes.']
      : ['After the warm-up:', ...growth.map(({ says }) => `  ${says}`)]),
    ...problems.sentences.map((sentence) => `PROBLEM: ${sentence}`),
    problems.sentences.length === 0 ? 'Nothing grew that should not, and nothing failed.' : '',
  ]
    .filter((line, i) => i === 0 || line !== '')
    .join('\n'),
);
process.exitCode = problems.sentences.length === 0 ? 0 : 1;

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface SoakOptions {
  minutes: number;
  agents: number;
  rate: number;
  every: number;
  csv: string | undefined;
  seed: number;
}

function readOptions(): SoakOptions {
  try {
    const text = { type: 'string' } as const;
    const names = { minutes: text, agents: text, rate: text, every: text, csv: text, seed: text };
    const { values } = parseArgs({ options: { ...names, help: { type: 'boolean' } } });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const number = (name: 'minutes' | 'agents' | 'rate' | 'every' | 'seed', fallback: number): number => {
      const value = Number(values[name] ?? fallback);
      if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not '${values[name] ?? ''}'`);
      return value;
    };
    const minutes = number('minutes', 10);
    return {
      ...{ minutes, agents: number('agents', 4), rate: number('rate', 2000), seed: number('seed', 1) },
      every: number('every', Math.min(10, minutes * 6)),
      csv: values.csv,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}
