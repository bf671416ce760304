import { watcher } from '../conversations.ts';
import { freePort } from '../free-port.ts';
import { run } from '../processes.ts';
import type { Bench } from '../stage.ts';
import { percentile } from '../table.ts';
import { ticker } from '../ticker.ts';
import { Peer, type Conversation } from '../viewers-peer.ts';
import { findProgram, listening, startSide, versionOf } from './programs.ts';
import type { PeerFigures } from './figures.ts';

const LINES_PER_SECOND = 1000;

/** From a script's writing to a socket's receiving, 1,000 lines a second: websocketd, which keeps nothing. */
export async function websocketdFigures({ scale }: Bench): Promise<PeerFigures | string> {
  const program = findProgram('websocketd');
  if (program === undefined) return 'websocketd is not on the PATH and was not measured.';
  const port = await freePort();
  const { command, lines } = ticker({ linesPerSecond: LINES_PER_SECOND, seconds: scale.smoke ? 2 : 5 });
  const own = [program, `--port=${port}`, '--address=127.0.0.1', '--loglevel=fatal', ...command];
  const server = await startSide(own, { ready: () => listening(port) });
  try {
    // It starts the script when somebody connects.
    const latency = await latencyOf(new URL(`http://127.0.0.1:${port}`), ASKS, { lines, start: () => undefined });
    return {
      name: 'websocketd',
      version: versionOf(program, '--version'),
      latency,
      note: 'script → its standard output → WebSocket. Whoever is not there when a line is written never sees it.',
    };
  } finally {
    await server.stop();
  }
}

/** The same of ours: stored and synced to the disk before it is shown. */
export async function kerutaLatency({ programs, scale }: Bench): Promise<PeerFigures['latency']> {
  const relay = await programs.relay('peers-latency');
  try {
    const { command, lines } = ticker({ linesPerSecond: LINES_PER_SECOND, seconds: scale.smoke ? 2 : 5 });
    const execute = [...programs.agent, 'execute', '--task-id', 'latency', '--no-tee', '--', ...command];
    const start = () => run(execute, relay.env);
    return await latencyOf(relay.url, watcher('latency', { from: 'start' }), { lines, start });
  } finally {
    await relay.stop();
  }
}

async function latencyOf(
  url: URL,
  conversation: Conversation,
  { lines, start }: { lines: number; start: () => Promise<void> | undefined },
): Promise<{ p50: number; p99: number }> {
  const delays: number[] = [];
  const viewer = new Peer(url, conversation, ({ time }, now) => delays.push(now - time));
  try {
    await viewer.ready;
    await start();
    await viewer.got(lines);
  } finally {
    viewer.close();
  }
  // The first second is the programs' own warming up.
  const measured = delays.slice(LINES_PER_SECOND);
  return { p50: percentile(measured, 0.5), p99: percentile(measured, 0.99) };
}

const ASKS: Conversation = { name: 'websocketd', path: '/', upgrade: '', steps: ['101'] };
