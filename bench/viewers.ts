import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, percentile, startServer } from './processes.ts';
import type { Row } from './table.ts';
import { MARK, Peer, type Conversation } from './viewers-peer.ts';

const ROOT = join(import.meta.dirname, '..');
const NODE = process.execPath;
const TASK = 'mixed';
const LINES_PER_SECOND = 100;

/**
 * Viewers over every API of the relay at once, all of the same task, which prints 100 lines a second: from the writing
 * of a line, whose time stands in it, to each viewer's socket. They read raw bytes, so that they leave the relay its
 * share of the machine.
 */
export async function* viewerRows(folder: string, scale: number): AsyncGenerator<Row> {
  const [viewers, seconds] = scale === 1 ? [1000, 8] : [100, 2];
  const data = join(folder, 'viewers');
  mkdirSync(data);
  const relay = await startServer([NODE, join(ROOT, 'dist/relay.mjs'), '--port', '0', '--data', data]);
  const peers: Peer[] = [];
  try {
    const url = new URL(/http:\/\/\S+/.exec(relay.line)?.[0] ?? '');
    for (let i = 0; i < viewers; i++) {
      peers.push(new Peer(url, KINDS[i % KINDS.length]));
      if (i % CONNECTS_AT_ONCE === 0) await Promise.all(peers.map((peer) => peer.ready));
    }
    await Promise.all(peers.map((peer) => peer.ready));
    const env = { PATH: process.env.PATH, HOME: folder, KERUTA_API_URL: `${url.origin}/api/v1` };
    const agent = spawn(
      NODE,
      [
        join(ROOT, 'dist/agent.mjs'),
        'execute',
        '--task-id',
        TASK,
        '--pipeline-id',
        TASK,
        '--no-tee',
        '--',
        NODE,
        '-e',
        script(seconds),
      ],
      { stdio: 'ignore', env },
    );
    const exit = once(agent, 'exit');
    // The first second is the programs' own warming up.
    await sleep(1000);
    const [cpu, from] = [cpuSeconds(relay.pid), performance.now()];
    await sleep(1000 * (seconds - 1));
    const share = (cpuSeconds(relay.pid) - cpu) / ((performance.now() - from) / 1000);
    await exit;
    await Promise.all(peers.map((peer) => peer.got(seconds * LINES_PER_SECOND)));
    yield* rows(peers, { share, lines: seconds * LINES_PER_SECOND });
  } finally {
    for (const peer of peers) peer.close();
    await relay.stop();
  }
}

function* rows(peers: readonly Peer[], { share, lines }: { share: number; lines: number }): Generator<Row> {
  const stage = 'viewers';
  const delays = peers.flatMap((peer) => peer.delays.slice(LINES_PER_SECOND));
  const deliveries = `${(peers.length * lines).toLocaleString('en-US')} deliveries`;
  const what = `${peers.length.toLocaleString('en-US')} over all APIs, 100 lines/s, written → socket`;
  yield { stage, what: `${what}, p50`, value: percentile(delays, 0.5), unit: 'ms', note: deliveries };
  const p99 = percentile(delays, 0.99);
  yield { stage, what: '… p99', value: p99, unit: 'ms', bar: { at: 'most', value: 50 } };
  yield { stage, what: "… the relay's share of a core", value: share * 100, unit: '%' };
  for (const { name } of KINDS) {
    const own = peers.filter((peer) => peer.name === name).flatMap((peer) => peer.delays.slice(LINES_PER_SECOND));
    yield { stage, what: `… ${name}, p99`, value: percentile(own, 0.99), unit: 'ms' };
  }
}

/** Prints lines that hold the moment at which they are written. */
function script(seconds: number): string {
  return `
    let n = 0;
    const start = performance.now();
    const timer = setInterval(() => {
      for (; n < ${seconds * LINES_PER_SECOND} && n < (performance.now() - start) / ${1000 / LINES_PER_SECOND}; n++) {
        process.stdout.write('INFO ${MARK}' + (performance.timeOrigin + performance.now()).toFixed(3) + ' a line of a log that many watch\\n');
      }
      if (n === ${seconds * LINES_PER_SECOND}) clearInterval(timer);
    }, 1);`;
}

/** How each kind of viewer asks: a request, and what is said when something has come. */
const KINDS: readonly Conversation[] = [
  keruta('keruta, a named task', { taskId: TASK }),
  keruta('keruta, a pipeline', { pipelineId: TASK }),
  keruta('keruta, everything', { all: true }),
  { name: 'Stratal, WebSocket', path: `/api/v1/logs/stream/ws?job_run_id=${TASK}`, upgrade: '', steps: ['Connected'] },
  { name: 'Stratal, SSE', path: '/api/v1/logs/stream/sse', steps: ['event: connected'] },
  { name: 'Otto, SSE', path: `/api/v1/log-streaming/logs/${TASK}/stream`, steps: ['text/event-stream'] },
  {
    name: 'Otto, Socket.IO',
    path: '/socket.io/?EIO=4&transport=websocket',
    upgrade: '',
    steps: [
      ['pingInterval', '40/log-streaming,'],
      ['features', `42/log-streaming,["subscribe-to-logs",{"taskId":"${TASK}"}]`],
      'subscription_success',
    ],
  },
];

function keruta(name: string, about: object): Conversation {
  const subscribe = JSON.stringify({ type: 'subscribe', subscription: 's', ...about, options: { from: 'start' } });
  return { name, path: '/ws', upgrade: 'keruta.view.v1', steps: [['101', subscribe], '"subscribed"'] };
}

const CONNECTS_AT_ONCE = 50;
