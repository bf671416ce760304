import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from '../stage.ts';
import { writeNumberedFile } from '../text.ts';
import { fluentBitPipelines } from './fluent-bit.ts';
import type { PeerFigures } from './figures.ts';
import { kerutaPipeline } from './keruta.ts';
import { kerutaLatency, websocketdFigures } from './latency.ts';
import { measure, type Pipeline } from './pipeline.ts';
import { rsyslogPipelines } from './rsyslog.ts';

/** Ours and the programs of others that are here, one after the other with the same text. */
export async function* measurePeers(bench: Bench): AsyncGenerator<PeerFigures | { skipped: string }> {
  const folder = join(bench.folder, 'peers');
  mkdirSync(folder);
  const { smoke } = bench.scale;
  const whole = { text: join(folder, 'whole.log'), lines: smoke ? 20_000 : 1_000_000 };
  const restarts = { text: join(folder, 'restarts.log'), lines: smoke ? 100_000 : 500_000 };
  writeNumberedFile(whole.text, whole.lines);
  writeNumberedFile(restarts.text, restarts.lines);

  const rsyslog = rsyslogPipelines(folder);
  const fluentBit = fluentBitPipelines();
  const ours = kerutaPipeline(bench.programs);
  const own = join(folder, 'run');
  const figuresOf = (pipeline: Pipeline): Promise<PeerFigures> =>
    measure(pipeline, { folder: own, ...whole, restarts, onlyKill: smoke });
  yield { ...(await figuresOf(ours)), latency: await kerutaLatency(bench) };
  for (const pipeline of [...fluentBit.pipelines, ...rsyslog.pipelines]) {
    rmSync(own, { recursive: true, force: true });
    try {
      yield await figuresOf(pipeline);
    } catch (error) {
      // What others do must not cost us our own figures.
      yield { skipped: `${pipeline.name} could not be measured: ${(error as Error).message}.` };
    }
  }
  const websocketd = await websocketdFigures(bench);
  if (typeof websocketd !== 'string') yield websocketd;
  const skipped = [...rsyslog.skipped, ...fluentBit.skipped, ...(typeof websocketd === 'string' ? [websocketd] : [])];
  for (const sentence of skipped) yield { skipped: sentence };
}
