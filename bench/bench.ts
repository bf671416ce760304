import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ingestRows } from './ingest.ts';
import { latencyRows } from './latency.ts';
import { describeMachine } from './machine.ts';
import { pathRows } from './path.ts';
import type { PeerFigures } from './peers/figures.ts';
import { measurePeers } from './peers/peers.ts';
import { Programs } from './programs.ts';
import { resultsPage, resultsText, type Results } from './results.ts';
import { searchRows } from './search.ts';
import { secureRows } from './secure.ts';
import { slowdownRows } from './slowdown.ts';
import type { Bench, Stage } from './stage.ts';
import { stageRows } from './stages.ts';
import { startRows } from './start.ts';
import type { Row } from './table.ts';
import { viewerRows } from './viewers.ts';
import { workerRows } from './workers.ts';

/** Measures everything in one run and prints one table: each stage alone, then the programs as they are installed. */
const STAGES: Readonly<Record<string, Stage>> = {
  stages: stageRows,
  ingest: ingestRows,
  path: pathRows,
  slowdown: slowdownRows,
  latency: latencyRows,
  start: startRows,
  viewers: viewerRows,
  search: searchRows,
  workers: workerRows,
  secure: secureRows,
};

/** The stage whose figures have a table of their own. */
const PEERS = 'peers';

const USAGE = `Usage: npm run bench -- [options]

  (none)         everything, in about five minutes, and the peers that are on the PATH, in another minute each
  --only STAGE   one of ${[...Object.keys(STAGES), PEERS].join(', ')}; may be given again
  --smoke        everything, in seconds: shows that the benchmark works; its figures mean nothing
  --write        writes bench/RESULTS.md and bench/results.json, too
  --tls          what TLS costs the whole path; nothing else
  --auth         what tokens and limits cost; with --tls, both together
  --json         for machines`;

const flags = readFlags();
const folder = mkdtempSync(join(tmpdir(), 'keruta-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
// What is measured in this process has temporary folders, too: so they go with this one, however it ends.
process.env.TMPDIR = folder;

const machine = describeMachine();
const start = performance.now();
const { smoke } = flags;
const bench: Bench = { folder, programs: new Programs(folder), scale: { smoke, runs: smoke ? 1 : 3 } };
const rows: Row[] = [];
for (const stage of flags.stages) {
  for await (const row of stage(bench)) {
    rows.push(row);
    progress(row.what);
  }
}
const peers: PeerFigures[] = [];
const skipped: { sentence: string }[] = [];
if (flags.peers) {
  for await (const found of measurePeers(bench)) {
    if ('skipped' in found) skipped.push({ sentence: found.skipped });
    else peers.push(found);
    progress('peers');
  }
}
progress('');

const results: Results = {
  date: new Date().toISOString(),
  seconds: (performance.now() - start) / 1000,
  smoke,
  machine,
  rows,
  peers,
  skipped,
};
console.log(flags.json ? JSON.stringify(results, null, 2) : resultsText(results));
if (flags.write) {
  writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(import.meta.dirname, 'RESULTS.md'), resultsPage(results));
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function readFlags(): { stages: Stage[]; peers: boolean; smoke: boolean; write: boolean; json: boolean } {
  try {
    const flag = { type: 'boolean', default: false } as const;
    const only = { type: 'string', multiple: true, default: [] as string[] } as const;
    const { values } = parseArgs({
      options: { only, smoke: flag, write: flag, json: flag, tls: flag, auth: flag, help: flag },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const { tls, auth } = values;
    if (tls || auth) return { ...values, stages: [(given) => secureRows(given, { tls, auth })], peers: false };
    const unknown = values.only.find((name) => name !== PEERS && !(name in STAGES));
    if (unknown !== undefined) throw new Error(`there is no stage '${unknown}'`);
    if (values.only.length > 0 && values.write) throw new Error('--write wants the whole benchmark, not --only some');
    const names = values.only.length > 0 ? values.only : [...Object.keys(STAGES), PEERS];
    const stages = names.filter((name) => name !== PEERS).map((name) => STAGES[name]);
    return { ...values, stages, peers: names.includes(PEERS) };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}
