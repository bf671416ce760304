import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'undici';
import { watcher } from './conversations.ts';
import { fillStore, type Filled } from './fill.ts';
import { loopDelayP99 } from './metrics.ts';
import { run } from './processes.ts';
import type { Relay } from './programs.ts';
import { repeat, type Bench } from './stage.ts';
import { percentile, rowOf, type Row } from './table.ts';
import { ticker } from './ticker.ts';
import { Peer } from './viewers-peer.ts';

const TASK = 'long';
const PAGE = 100;
const stage = 'search';
/** What is searched, by what it finds; and as it stands in the lines, if in another case. */
const SEARCHES: readonly { name: string; text: string; as?: string }[] = [
  { name: 'nothing', text: 'a text that no line has' },
  { name: 'one line in twenty', text: 'retry 4 of 5' },
  { name: 'every line', text: 'region=EU-central-1', as: 'region=eu-central-1' },
];

/** Pages and searches over HTTP in a task of 10 million lines, alone and beside a script that somebody watches. */
export async function* searchRows(bench: Bench): AsyncGenerator<Row> {
  const { folder, programs, scale } = bench;
  const filled = await fillStore(join(folder, 'search'), { task: TASK, lines: scale.smoke ? 300_000 : 10_000_000 });
  const relay = await programs.relay('search');
  const client = new Client(relay.url);
  try {
    const size = `${(filled.lines / 1e6).toFixed(1)} M lines`;
    yield* pageRows(client, { filled, size, pages: scale.smoke ? 50 : 500 });
    const searches = SEARCHES.map(({ name, text, as = text }) => ({ name, text, expected: filled.count(as) }));
    await loopDelayP99(relay.url);
    for (const { name, ...what } of searches) {
      const runs = await repeat(scale.smoke ? 1 : 5, () => search(client, what));
      yield rowOf(runs, {
        stage,
        what: `substring in ${size} that ${name === 'nothing' ? 'none has' : `finds ${name}`}, all counted`,
        unit: 's',
        bar: { at: 'most', value: 1.2 },
      });
    }
    const delay = await loopDelayP99(relay.url);
    yield { stage, what: '… event-loop delay p99 meanwhile', value: delay, unit: 'ms', bar: { at: 'most', value: 50 } };
    yield* besideRows(bench, { relay, client, every: searches[2] });
  } finally {
    await client.close();
    await relay.stop();
  }
}

async function* pageRows(
  client: Client,
  { filled, size, pages }: { filled: Filled; size: string; pages: number },
): AsyncGenerator<Row> {
  const times: number[] = [];
  // The first are a warm-up.
  for (let i = -20; i < pages; i++) {
    const page = Math.abs(i * 7919 + 13) % Math.floor(filled.lines / PAGE);
    const start = performance.now();
    const { content } = await get<Page>(client, `/api/v1/tasks/${TASK}/logs?page=${page}&size=${PAGE}&order=asc`);
    if (i >= 0) times.push(performance.now() - start);
    const wrong = content.findIndex(({ message }, line) => message !== filled.textOf(page * PAGE + line + 1));
    if (wrong !== -1 || content.length !== PAGE) throw new Error(`page ${page} is not what was written`);
  }
  const note = `${pages} pages of ${PAGE} lines over HTTP, p50 ${percentile(times, 0.5).toFixed(1)} ms`;
  const what = `a page anywhere in ${size}, p99`;
  yield { stage, what, value: percentile(times, 0.99), unit: 'ms', bar: { at: 'most', value: 5 }, note };
}

interface Page {
  content: { message: string }[];
}

interface Search {
  text: string;
  /** So many lines have it. */
  expected: number;
}

/** Seconds until the answer. */
async function search(client: Client, { text, expected }: Search): Promise<number> {
  const start = performance.now();
  const path = `/api/v1/tasks/${TASK}/logs/count?q=${encodeURIComponent(text)}`;
  const { count } = await get<{ count: number }>(client, path);
  if (count !== expected) throw new Error(`${count} lines with '${text}' were found instead of ${expected}`);
  return (performance.now() - start) / 1000;
}

/** A script of 1,000 lines a second and who watches it, first alone, then beside one search after the other. */
async function* besideRows(
  { programs, scale }: Bench,
  { relay, client, every }: { relay: Relay; client: Client; every: Search },
): AsyncGenerator<Row> {
  const half = scale.smoke ? 2 : 5;
  const linesPerSecond = 1000;
  const delays: number[] = [];
  const viewer = new Peer(relay.url, watcher('beside', { from: 'start' }), ({ time }, now) => delays.push(now - time));
  try {
    await viewer.ready;
    const { command, lines } = ticker({ linesPerSecond, seconds: 2 * half });
    const script = run([...programs.agent, 'execute', '--task-id', 'beside', '--no-tee', '--', ...command], relay.env);
    await Promise.race([sleep(1000 * half), script]);
    const alone = delays.splice(0).slice(linesPerSecond);
    await loopDelayP99(relay.url);
    let over = false;
    const ended = script.finally(() => (over = true));
    let searches = 0;
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- the script's end sets it
    for (; !over; searches++) await search(client, every);
    await ended;
    await viewer.got(lines);
    const note = (of: readonly number[]): string =>
      `p50 ${percentile(of, 0.5).toFixed(1)} ms, the slowest ${percentile(of, 1).toFixed(0)} ms`;
    const what = 'another task, 1,000 lines/s, written → socket, p99, with nobody searching';
    yield { stage, what, value: percentile(alone, 0.99), unit: 'ms', note: note(alone) };
    const busy = `… while every line is found, ${searches} times in ${half} s`;
    yield { stage, what: busy, value: percentile(delays, 0.99), unit: 'ms', note: note(delays) };
    const delay = await loopDelayP99(relay.url);
    yield { stage, what: '… event-loop delay p99 meanwhile', value: delay, unit: 'ms' };
  } finally {
    viewer.close();
  }
}

async function get<T>(client: Client, path: string): Promise<T> {
  const { statusCode, body } = await client.request({ method: 'GET', path });
  const answer = await body.json();
  if (statusCode !== 200) throw new Error(`${path} answered ${statusCode}: ${JSON.stringify(answer)}`);
  return answer as T;
}
