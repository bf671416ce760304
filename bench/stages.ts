import { LineSplitter } from '../agent/lines.ts';
import { redactBench } from '../agent/redact/redact.bench.ts';
import { Sealer } from '../agent/sealer.ts';
import { BUILDER_BYTES, ChunkBuilder } from '../shared/chunk-builder.ts';
import { newUlid } from '../shared/ulid.ts';
import { benchFlood } from '../relay/store/store.bench.ts';
import { ingestFloodBench, ingestManyBench } from '../relay/ingest.bench.ts';
import type { Row } from './table.ts';
import { LINE_BYTES, logText } from './text.ts';

const BLOCK_BYTES = 64 * 1024;

/** Each stage alone, in this process. */
export async function* stageRows(scale: number): AsyncGenerator<Row> {
  const { bytesPerSecond } = redactBench();
  yield {
    stage: 'redact',
    what: '5 secrets in all their forms, the known shapes',
    value: bytesPerSecond / 1e6,
    unit: 'MB/s',
    bar: { at: 'least', value: 700 },
  };
  yield { stage: 'lines', what: 'bytes to lines, with level', value: linesPerSecond(scale) / 1e6, unit: 'M lines/s' };
  yield {
    stage: 'chunk',
    what: 'lines, columns, zstd, CRC',
    value: (await sealedPerSecond(scale)) / 1e6,
    unit: 'M lines/s',
  };
  const store = await benchFlood(2000 * scale);
  yield { stage: 'store', what: 'chunks, committed and fsynced', value: store.linesPerSecond / 1e6, unit: 'M lines/s' };
  const flood = await ingestFloodBench(2 * scale);
  yield {
    stage: 'ingest',
    what: '50 agents, acknowledged after fsync',
    value: flood.linesPerSecond / 1e6,
    unit: 'M lines/s',
    bar: { at: 'least', value: 10 },
  };
  yield {
    stage: 'ingest',
    what: '… event-loop delay p99 meanwhile',
    value: flood.eventLoopDelayP99Ms,
    unit: 'ms',
    bar: { at: 'most', value: 15 },
  };
  const many = await ingestManyBench(2 * scale);
  yield {
    stage: 'ingest',
    what: '1,000 agents, 20,000 single-line chunks/s, ack p99',
    value: many.ackP99Ms,
    unit: 'ms',
    bar: { at: 'most', value: 50 },
    note: `${Math.round(many.chunksPerSecond).toLocaleString('en-US')} chunks/s, ${many.unacknowledged} unacknowledged, ${Math.round(many.cpuMicrosPerChunk)} µs CPU a chunk`,
  };
}

function linesPerSecond(scale: number): number {
  const text = logText(50_000);
  const rounds = Math.ceil(40 * scale);
  const buffers = [Buffer.alloc(BUILDER_BYTES), Buffer.alloc(BUILDER_BYTES)];
  const builder = new ChunkBuilder(buffers[0]);
  const run = newUlid(Date.now());
  const seal = () => {
    // The one that is sealed is free again at once: nothing is done with it here.
    buffers.reverse();
    builder.seal(run, 0, buffers[0]);
  };
  const splitter = new LineSplitter({ builder, seal }, 'stdout', { level: 'DEBUG' });
  const feed = () => {
    for (let at = 0; at < text.length; at += BLOCK_BYTES)
      splitter.push(text.subarray(at, at + BLOCK_BYTES), Date.now());
  };
  for (let i = 0; i < 5; i++) feed();
  const start = performance.now();
  for (let i = 0; i < rounds; i++) feed();
  return (rounds * text.length) / LINE_BYTES / ((performance.now() - start) / 1000);
}

async function sealedPerSecond(scale: number): Promise<number> {
  const text = logText(50_000);
  const rounds = Math.ceil(20 * scale);
  const sealer = new Sealer(newUlid(Date.now()), () => undefined);
  const splitter = new LineSplitter({ builder: sealer.builder, seal: () => sealer.seal() }, 'stdout', {
    level: 'DEBUG',
  });
  const start = performance.now();
  for (let i = 0; i < rounds; i++) {
    for (let at = 0; at < text.length; at += BLOCK_BYTES) {
      splitter.push(text.subarray(at, at + BLOCK_BYTES), Date.now());
      if (sealer.full) await sealer.flushed();
    }
  }
  sealer.seal();
  await sealer.flushed();
  const seconds = (performance.now() - start) / 1000;
  sealer.close();
  return sealer.lines / seconds;
}
