import { watcher } from './conversations.ts';
import { run } from './processes.ts';
import type { Relay } from './programs.ts';
import { repeat, type Bench } from './stage.ts';
import { percentile, rowOf, type Row } from './table.ts';
import { ticker } from './ticker.ts';
import { Peer } from './viewers-peer.ts';

const LINES_PER_SECOND = 1000;

/** From a line's writing, whose time stands in it, to the viewer's socket; 1,000 lines a second. */
export async function* latencyRows({ programs, scale }: Bench): AsyncGenerator<Row> {
  const relay = await programs.relay('latency');
  try {
    const seconds = scale.smoke ? 2 : 5;
    const runs = await repeat(scale.runs, (i) => delaysOf(`latency-${i}`, { relay, agent: programs.agent, seconds }));
    const stage = 'latency';
    yield rowOf(
      runs.map((delays) => percentile(delays, 0.5)),
      {
        stage,
        what: "written → viewer's socket, 1,000 lines/s, p50",
        unit: 'ms',
        bar: { at: 'most', value: 5 },
        note: `${runs[0].length.toLocaleString('en-US')} lines a run`,
      },
    );
    yield rowOf(
      runs.map((delays) => percentile(delays, 0.99)),
      { stage, what: '… p99', unit: 'ms', bar: { at: 'most', value: 20 } },
    );
  } finally {
    await relay.stop();
  }
}

/** Of each line, ms, without those of the first second: that is the programs' own warming up. */
async function delaysOf(
  task: string,
  { relay, agent, seconds }: { relay: Relay; agent: readonly string[]; seconds: number },
): Promise<number[]> {
  const delays: number[] = [];
  const viewer = new Peer(relay.url, watcher(task, { from: 'start' }), ({ time }, now) => delays.push(now - time));
  try {
    await viewer.ready;
    const { command, lines } = ticker({ linesPerSecond: LINES_PER_SECOND, seconds });
    await run([...agent, 'execute', '--task-id', task, '--no-tee', '--', ...command], relay.env);
    await viewer.got(lines);
    return delays.slice(LINES_PER_SECOND);
  } finally {
    viewer.close();
  }
}
