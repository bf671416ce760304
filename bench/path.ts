import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, closeSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { cpuSeconds, median, percentile, residentBytes, runDrained, startServer, type Server } from './processes.ts';
import type { Row } from './table.ts';
import { LINE_BYTES, writeLogFile } from './text.ts';

const ROOT = join(import.meta.dirname, '..');
const NODE = process.execPath;
const AGENT = [NODE, '--max-semi-space-size=1', join(ROOT, 'dist/agent.mjs')];
const SECRETS = {
  DEPLOY_TOKEN: 'f3a9c1d2e4b5a697',
  DB_PASSWORD: 'correct horse/battery+staple',
  SIGNING_KEY: 'Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5',
  CLIENT_SECRET: '7d9f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b',
  PROXY_CREDENTIALS: 'builder:s3cr3t-0f-the-pr0xy',
};

/** Lines for the whole path, and for what is slower. */
interface Sizes {
  lines: number;
  naiveLines: number;
  pacedLines: number;
  starts: number;
  latencySeconds: number;
}

export function sizes(scale: number): Sizes {
  return {
    lines: scale === 1 ? 8_000_000 : 400_000,
    naiveLines: scale === 1 ? 400_000 : 50_000,
    pacedLines: scale === 1 ? 1_000_000 : 200_000,
    starts: scale === 1 ? 21 : 5,
    latencySeconds: scale === 1 ? 5 : 2,
  };
}

/** The programs as they are installed: processes of their own, a store on disk, a tee that another process drains. */
export async function* pathRows(folder: string, scale: number): AsyncGenerator<Row> {
  const size = sizes(scale);
  const text = join(folder, 'flood.log');
  writeLogFile(text, Math.min(size.lines, 2_000_000));
  const repeats = Math.max(1, Math.round(size.lines / 2_000_000));
  const flood = ['cat', ...Array<string>(repeats).fill(text)];
  const data = join(folder, 'data');
  mkdirSync(data);
  const relay = await startServer([NODE, join(ROOT, 'dist/relay.mjs'), '--port', '0', '--data', data]);
  const env = agentEnv(folder, relay);
  try {
    const bare = await runDrained(folder, flood, env);
    yield {
      stage: 'path',
      what: 'the bare pipe: script → drain',
      value: size.lines / bare.seconds / 1e6,
      unit: 'M lines/s',
    };
    const relayCpu = cpuSeconds(relay.pid);
    const ours = await runDrained(folder, [...AGENT, 'execute', '--task-id', 'flood', '--', ...flood], env);
    const millions = size.lines / 1e6;
    const relayShare = (cpuSeconds(relay.pid) - relayCpu) / millions;
    yield {
      stage: 'path',
      what: 'script → redact, tee, spool, relay, fsync, verified',
      value: millions / ours.seconds,
      unit: 'M lines/s',
      bar: { at: 'least', value: 1.8 },
      note: `CPU-s a million lines: agent ${(ours.cpu / millions).toFixed(2)}, relay ${relayShare.toFixed(2)}`,
    };
    yield {
      stage: 'path',
      what: '… peak memory of the agent',
      value: ours.peak / 2 ** 20,
      unit: 'MiB',
      bar: { at: 'most', value: 150 },
    };
    yield {
      stage: 'store',
      what: 'size against the raw text',
      value: (storeBytes(data) / (size.lines * LINE_BYTES)) * 100,
      unit: '%',
      bar: { at: 'most', value: 12 },
    };
    yield await naiveRow(folder, size.naiveLines, text, millions / ours.seconds);
    yield await slowdownRow(folder, size.pacedLines, env);
    yield* latencyRows(size.latencySeconds, env);
    yield* startRows(folder, size.starts, env);
    yield await idleRow(env);
  } finally {
    await relay.stop();
  }
}

function agentEnv(folder: string, relay: Server): NodeJS.ProcessEnv {
  const url = /http:\/\/\S+/.exec(relay.line)?.[0];
  if (url === undefined) throw new Error(`the relay said ${relay.line}`);
  return {
    PATH: process.env.PATH,
    HOME: folder,
    KERUTA_API_URL: `${url}/api/v1`,
    KERUTA_SPOOL_DIR: join(folder, 'spool'),
    ...SECRETS,
  };
}

function storeBytes(data: string): number {
  return ['keruta.db', 'keruta.db-wal']
    .map((name) => join(data, name))
    .filter((path) => existsSync(path))
    .reduce((sum, path) => sum + statSync(path).size, 0);
}

async function naiveRow(folder: string, lines: number, text: string, ours: number): Promise<Row> {
  const relay = await startServer([NODE, join(import.meta.dirname, 'naive-relay.ts'), join(folder, 'naive.db')]);
  try {
    const env = { PATH: process.env.PATH, NAIVE_SECRETS: Object.values(SECRETS).join(',') };
    const command = [NODE, join(import.meta.dirname, 'naive-agent.ts'), `ws://127.0.0.1:${relay.line}`];
    const naive = await runDrained(folder, [...command, 'head', '-n', String(lines), text], env);
    const rate = lines / naive.seconds / 1e6;
    return {
      stage: 'path',
      what: 'the naive pipeline, same durability',
      value: rate,
      unit: 'M lines/s',
      note: `ours is ${(ours / rate).toFixed(1)} times as fast`,
    };
  } finally {
    await relay.stop();
  }
}

/** A script that computes between its lines, so that it prints about 200,000 a second. */
async function slowdownRow(folder: string, lines: number, env: NodeJS.ProcessEnv): Promise<Row> {
  const program = (spins: number, count: number) => [
    'awk',
    `BEGIN { for (i = 0; i < ${count}; i++) { for (j = 0; j < ${spins}; j++) x += j; printf "2026-01-02T03:04:05.000Z INFO line %d of a script that computes between its lines, as jobs do, x=%d\\n", i, x } }`,
  ];
  const toFile = (spins: number, count: number) => {
    const fd = openSync(join(folder, 'paced.log'), 'w');
    const start = performance.now();
    const [file, ...args] = program(spins, count);
    execFileSync(file, args, { stdio: ['ignore', fd, 'inherit'], env });
    closeSync(fd);
    return (performance.now() - start) / 1000;
  };
  const calibration = 100_000;
  const [none, hundred] = [toFile(0, calibration), toFile(100, calibration)];
  const spins = Math.max(0, Math.round((100 * (calibration / 200_000 - none)) / (hundred - none)));
  const ratios: number[] = [];
  let rate = 0;
  for (let i = 0; i < 3; i++) {
    const bare = toFile(spins, lines);
    const { seconds } = await runDrained(
      folder,
      [...AGENT, 'execute', '--task-id', 'paced', '--', ...program(spins, lines)],
      env,
    );
    rate = lines / bare;
    ratios.push(seconds / bare);
  }
  return {
    stage: 'path',
    what: 'slowdown of a script that prints 200,000 lines/s',
    value: median(ratios),
    unit: '×',
    bar: { at: 'most', value: 1.1 },
    note: `it prints ${Math.round(rate).toLocaleString('en-US')} lines/s into a file`,
  };
}

/** From a line's writing, whose time stands in it, to the viewer's socket; 1,000 lines a second. */
async function* latencyRows(seconds: number, env: NodeJS.ProcessEnv): AsyncGenerator<Row> {
  const script = `
    const end = Date.now() + ${seconds * 1000};
    let n = 0;
    const start = performance.now();
    const timer = setInterval(() => {
      for (; n < performance.now() - start; n++) process.stdout.write((performance.timeOrigin + performance.now()).toFixed(3) + ' INFO tick ' + n + '\\n');
      if (Date.now() > end) clearInterval(timer);
    }, 1);`;
  const url = `${env.KERUTA_API_URL?.replace(/^http/, 'ws').replace('/api/v1', '')}/ws/tasks/latency`;
  const viewer = new WebSocket(url, ['keruta.view.v1'], { perMessageDeflate: false });
  await once(viewer, 'open');
  viewer.send(JSON.stringify({ type: 'subscribe', taskId: 'latency', options: { from: 'start' } }));
  const delays: number[] = [];
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => (ended = resolve));
  viewer.on('message', (data: Buffer) => {
    const now = performance.timeOrigin + performance.now();
    const message = JSON.parse(data.toString()) as { type: string; message?: string };
    if (message.type === 'log') delays.push(now - Number.parseFloat(message.message ?? ''));
    if (message.type === 'end') ended();
  });
  const agent = spawn(
    AGENT[0],
    [...AGENT.slice(1), 'execute', '--task-id', 'latency', '--no-tee', '--', NODE, '-e', script],
    { stdio: 'ignore', env },
  );
  await once(agent, 'exit');
  await end;
  viewer.close();
  // The first second is the programs' own warming up.
  const measured = delays.slice(1000);
  const note = `${measured.length.toLocaleString('en-US')} lines`;
  yield {
    stage: 'path',
    what: "latency, written → viewer's socket, 1,000 lines/s, p50",
    value: percentile(measured, 0.5),
    unit: 'ms',
    bar: { at: 'most', value: 5 },
    note,
  };
  yield { stage: 'path', what: '… p99', value: percentile(measured, 0.99), unit: 'ms', bar: { at: 'most', value: 20 } };
}

async function* startRows(folder: string, starts: number, env: NodeJS.ProcessEnv): AsyncGenerator<Row> {
  const bare: number[] = [];
  const ours: number[] = [];
  for (let i = 0; i <= starts; i++) {
    for (const [times, command] of [
      [bare, ['true']],
      [ours, [join(ROOT, 'dist/keruta-agent'), 'execute', '--task-id', 'start', '--', 'true']],
    ] as const) {
      const start = performance.now();
      const child = spawn(command[0], command.slice(1), { stdio: 'ignore', env, cwd: folder });
      await once(child, 'exit');
      // The first is a warm-up.
      if (i > 0) times.push(performance.now() - start);
    }
  }
  yield {
    stage: 'start',
    what: 'a trivial job, start to exit, verified, over the bare one',
    value: median(ours) - median(bare),
    unit: 'ms',
    bar: { at: 'most', value: 60 },
    note: `node alone takes ${(await nodeAlone(starts)).toFixed(0)} ms`,
  };
}

async function nodeAlone(starts: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < starts; i++) {
    const start = performance.now();
    await once(spawn(NODE, ['-e', '0'], { stdio: 'ignore' }), 'exit');
    times.push(performance.now() - start);
  }
  return median(times);
}

async function idleRow(env: NodeJS.ProcessEnv): Promise<Row> {
  const agent = spawn(
    AGENT[0],
    [...AGENT.slice(1), 'execute', '--task-id', 'idle', '--', 'sh', '-c', 'echo ready; exec sleep 5'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
      env,
    },
  );
  const exit = once(agent, 'exit');
  await once(createInterface({ input: agent.stdout }), 'line');
  await sleep(3000);
  const { now } = residentBytes(agent.pid ?? 0);
  agent.kill('SIGTERM');
  await exit;
  return {
    stage: 'path',
    what: 'resident memory of an idle agent',
    value: now / 2 ** 20,
    unit: 'MiB',
    bar: { at: 'most', value: 65_000_000 / 2 ** 20 },
  };
}
