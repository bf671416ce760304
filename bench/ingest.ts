import { ingestFloodBench, ingestManyBench } from '../relay/ingest.bench.ts';
import { repeat, type Bench } from './stage.ts';
import { rowOf, type Row } from './table.ts';

/** What a relay takes in, with its senders in a process of their own. */
export async function* ingestRows({ scale: { smoke, runs } }: Bench): AsyncGenerator<Row> {
  const seconds = smoke ? 0.2 : 2;
  const stage = 'ingest';
  const floods = await repeat(runs, () => ingestFloodBench(seconds));
  yield rowOf(
    floods.map((flood) => flood.linesPerSecond / 1e6),
    { stage, what: '50 agents, acknowledged after fsync', unit: 'M lines/s', bar: { at: 'least', value: 10 } },
  );
  yield rowOf(
    floods.map((flood) => flood.eventLoopDelayP99Ms),
    { stage, what: '… event-loop delay p99 meanwhile', unit: 'ms', bar: { at: 'most', value: 15 } },
  );
  const many = await repeat(runs, () => ingestManyBench(seconds));
  const unacknowledged = many.reduce((sum, run) => sum + run.unacknowledged, 0);
  yield rowOf(
    many.map((run) => run.ackP99Ms),
    {
      stage,
      what: '1,000 agents, 20,000 single-line chunks/s, ack p99',
      unit: 'ms',
      bar: { at: 'most', value: 50 },
      note: `${unacknowledged} unacknowledged`,
    },
  );
  yield rowOf(
    many.map((run) => run.chunksPerSecond / 1000),
    { stage, what: '… acknowledged, of the 20 that are due', unit: 'k chunks/s' },
  );
  yield rowOf(
    many.map((run) => run.cpuMicrosPerChunk),
    { stage, what: "… the relay's CPU for each", unit: 'µs' },
  );
}
