import { LineSplitter } from '../agent/lines.ts';
import { redactBench } from '../agent/redact/redact.bench.ts';
import { Sealer } from '../agent/sealer.ts';
import { BUILDER_BYTES, ChunkBuilder } from '../shared/chunk-builder.ts';
import { newUlid } from '../shared/ulid.ts';
import { benchFlood } from '../relay/store/store.bench.ts';
import { repeat, type Bench } from './stage.ts';
import { rowOf, type Row } from './table.ts';
import { LINE_BYTES, logText } from './text.ts';

const BLOCK_BYTES = 64 * 1024;

/** Each stage of the path alone, in this process. */
export async function* stageRows({ scale: { smoke, runs } }: Bench): AsyncGenerator<Row> {
  const scale = smoke ? 0.1 : 1;
  yield rowOf(await repeat(runs, () => redactBench().bytesPerSecond / 1e6), {
    stage: 'redact',
    what: '5 secrets in all their forms, the known shapes',
    unit: 'MB/s',
    bar: { at: 'least', value: 700 },
    note: 'text in which none of them occurs',
  });
  yield rowOf(await repeat(runs, () => linesPerSecond(scale) / 1e6), {
    stage: 'lines',
    what: 'bytes to lines, with level',
    unit: 'M lines/s',
  });
  yield rowOf(await repeat(runs, async () => (await sealedPerSecond(scale)) / 1e6), {
    stage: 'chunk',
    what: 'lines, columns, zstd, CRC',
    unit: 'M lines/s',
  });
  yield rowOf(await repeat(runs, async () => (await benchFlood(2000 * scale)).linesPerSecond / 1e6), {
    stage: 'store',
    what: 'chunks, committed and fsynced',
    unit: 'M lines/s',
  });
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
