import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pathRows } from './path.ts';
import { secureRows } from './secure.ts';
import { stageRows } from './stages.ts';
import { printTable, reaches, type Row } from './table.ts';
import { viewerRows } from './viewers.ts';
import { workerRows } from './workers.ts';

/** Measures everything in one run and prints one table: each stage alone, then the programs as they are installed. */
const USAGE = `Usage: npm run bench -- [options]

  (none)       everything, in about two minutes
  --smoke      everything, in seconds: shows that the benchmark works; its figures mean nothing
  --tls        what TLS costs the whole path; nothing else
  --auth       what tokens and limits cost; with --tls, both together
  --json       for machines`;

const flag = { type: 'boolean', default: false } as const;
const { smoke, json, tls, auth } = readFlags();
const scale = smoke ? 0.1 : 1;

const folder = mkdtempSync(join(tmpdir(), 'keruta-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/build.ts')], {
  stdio: ['ignore', 'ignore', 'inherit'],
});

const start = performance.now();
const rows: Row[] = [];
const sources =
  tls || auth
    ? [secureRows(folder, scale, { tls, auth })]
    : [
        stageRows(scale),
        pathRows(folder, scale),
        viewerRows(folder, scale),
        workerRows(folder, scale),
        ...(smoke ? [secureRows(folder, scale, { tls: true, auth: true })] : []),
      ];
for (const source of sources) {
  for await (const row of source) {
    rows.push(row);
    progress(row.what);
  }
}
progress('');

const machine = `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
const seconds = Math.round((performance.now() - start) / 1000);
if (json) {
  console.log(
    JSON.stringify({ machine, smoke, seconds, rows: rows.map((row) => ({ ...row, reached: reaches(row) })) }, null, 2),
  );
} else {
  console.log(`${machine}; ${seconds} s${smoke ? '; a smoke run: its figures mean nothing' : ''}\n`);
  console.log(printTable(rows));
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function readFlags() {
  try {
    const options = { smoke: flag, json: flag, tls: flag, auth: flag, help: flag };
    const { values } = parseArgs({ options });
    if (!values.help) return values;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}
