import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSeconds, runDrained, startServer, type Ran } from './processes.ts';
import { NODE } from './programs.ts';
import { repeat, type Bench } from './stage.ts';
import { median, rowOf, type Row } from './table.ts';
import { LINE_BYTES, writeLogFile } from './text.ts';

const SECRETS = {
  DEPLOY_TOKEN: 'f3a9c1d2e4b5a697',
  DB_PASSWORD: 'correct horse/battery+staple',
  SIGNING_KEY: 'Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5',
  CLIENT_SECRET: '7d9f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b',
  PROXY_CREDENTIALS: 'builder:s3cr3t-0f-the-pr0xy',
};
const FILE_LINES = 2_000_000;

/**
 * A flood through the programs as they are installed: processes of their own, a store on disk, a tee that another
 * process drains. Beside it the bare pipe, and what one writes first, in turns with it.
 */
export async function* pathRows(bench: Bench): AsyncGenerator<Row> {
  const { folder, programs, scale } = bench;
  const [lines, naiveLines] = scale.smoke ? [400_000, 50_000] : [8_000_000, 400_000];
  const text = join(folder, 'flood.log');
  writeLogFile(text, Math.min(lines, FILE_LINES));
  const flood = ['cat', ...Array<string>(Math.max(1, lines / FILE_LINES)).fill(text)];
  const relay = await programs.relay('path');
  try {
    const env = { ...relay.env, ...SECRETS };
    const turns = await repeat(scale.runs, async (turn) => {
      const bare = await runDrained(folder, flood, env);
      const before = cpuSeconds(relay.pid);
      const command = [...programs.agent, 'execute', '--task-id', `flood-${turn}`, '--strict', '--', ...flood];
      const ours = await runDrained(folder, command, env);
      const relayCpu = cpuSeconds(relay.pid) - before;
      return { bare, ours, relayCpu, naive: await naive(bench, text, { turn, lines: naiveLines }) };
    });
    const size = (storeBytes(relay.data) / (scale.runs * lines * LINE_BYTES)) * 100;
    yield* rows(turns, { lines, naiveLines, size });
  } finally {
    await relay.stop();
  }
}

interface Turn {
  bare: Ran;
  ours: Ran;
  relayCpu: number;
  naive: Ran;
}

function* rows(
  turns: readonly Turn[],
  { lines, naiveLines, size }: { lines: number; naiveLines: number; size: number },
): Generator<Row> {
  const stage = 'path';
  const rate = (count: number, { seconds }: Ran): number => count / seconds / 1e6;
  const of = (figure: (turn: Turn) => number): number[] => turns.map(figure);
  const unit = 'M lines/s';
  yield rowOf(
    of(({ bare }) => rate(lines, bare)),
    { stage, what: 'the bare pipe: script → drain', unit },
  );
  const millions = lines / 1e6;
  const agentCpu = median(of(({ ours }) => ours.cpu / millions)).toFixed(2);
  const relayCpu = median(of((turn) => turn.relayCpu / millions)).toFixed(2);
  yield rowOf(
    of(({ ours }) => rate(lines, ours)),
    {
      stage,
      what: 'script → redact, tee, spool, relay, fsync, verified',
      unit,
      bar: { at: 'least', value: 1.8 },
      note: `CPU-s a million lines: agent ${agentCpu}, relay ${relayCpu}`,
    },
  );
  yield rowOf(
    of(({ ours }) => ours.peak / 2 ** 20),
    { stage, what: '… peak memory of the agent', unit: 'MiB', bar: { at: 'most', value: 150 } },
  );
  yield { stage: 'store', what: 'size against the raw text', value: size, unit: '%', bar: { at: 'most', value: 12 } };
  yield rowOf(
    of(({ naive }) => rate(naiveLines, naive)),
    { stage, what: 'the naive pipeline, same durability', unit },
  );
  yield rowOf(
    of(({ ours, naive }) => rate(lines, ours) / rate(naiveLines, naive)),
    { stage, what: 'ours against the naive pipeline', unit: '×' },
  );
  yield rowOf(
    of(({ ours, bare }) => (rate(lines, ours) / rate(lines, bare)) * 100),
    { stage, what: 'ours against the bare pipe', unit: '%' },
  );
}

/** What one writes first (naive-agent.ts), under the same conditions. */
async function naive({ folder }: Bench, text: string, { turn, lines }: { turn: number; lines: number }): Promise<Ran> {
  const relay = await startServer([
    NODE,
    join(import.meta.dirname, 'naive-relay.ts'),
    join(folder, `naive-${turn}.db`),
  ]);
  try {
    const env = { PATH: process.env.PATH, NAIVE_SECRETS: Object.values(SECRETS).join(',') };
    const command = [NODE, join(import.meta.dirname, 'naive-agent.ts'), `ws://127.0.0.1:${relay.line}`];
    return await runDrained(folder, [...command, 'head', '-n', String(lines), text], env);
  } finally {
    await relay.stop();
  }
}

function storeBytes(data: string): number {
  return ['keruta.db', 'keruta.db-wal']
    .map((name) => join(data, name))
    .filter((path) => existsSync(path))
    .reduce((sum, path) => sum + statSync(path).size, 0);
}
