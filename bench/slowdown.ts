import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { runDrained } from './processes.ts';
import { repeat, type Bench } from './stage.ts';
import { rowOf, type Row } from './table.ts';

const LINES_PER_SECOND = 200_000;
/** A calibration that something disturbed must not have the script compute for minutes. */
const MAX_SPINS = 1000;

/** What a script loses that computes between its lines, so that it prints about 200,000 a second. */
export async function* slowdownRows({ folder, programs, scale }: Bench): AsyncGenerator<Row> {
  const lines = scale.smoke ? LINES_PER_SECOND : 5 * LINES_PER_SECOND;
  const relay = await programs.relay('slowdown');
  try {
    const toFile = (spins: number, count: number) => {
      const fd = openSync(join(folder, 'paced.log'), 'w');
      const start = performance.now();
      const [file, ...args] = script(spins, count);
      execFileSync(file, args, { stdio: ['ignore', fd, 'inherit'], env: relay.env });
      closeSync(fd);
      return (performance.now() - start) / 1000;
    };
    const calibration = LINES_PER_SECOND / 2;
    const [none, hundred] = [toFile(0, calibration), toFile(100, calibration)];
    const missing = calibration / LINES_PER_SECOND - none;
    const each = (hundred - none) / 100;
    const spins = missing > 0 && each > 0 ? Math.min(MAX_SPINS, Math.round(missing / each)) : 0;
    const rates: number[] = [];
    const ratios = await repeat(scale.runs, async () => {
      const bare = toFile(spins, lines);
      rates.push(lines / bare);
      const command = [...programs.agent, 'execute', '--task-id', 'paced', '--', ...script(spins, lines)];
      return (await runDrained(folder, command, relay.env)).seconds / bare;
    });
    const printed = (rates.reduce((sum, rate) => sum + rate, 0) / rates.length / 1000).toFixed(0);
    yield rowOf(ratios, {
      stage: 'slowdown',
      what: 'of a script that prints 200,000 lines/s, against a file',
      unit: '×',
      bar: { at: 'most', value: 1.1 },
      note: `it prints ${printed},000 lines/s into a file`,
    });
  } finally {
    await relay.stop();
  }
}

function script(spins: number, count: number): string[] {
  const text = 'line %d of a script that computes between its lines, as jobs do, x=%d';
  return [
    'awk',
    `BEGIN { for (i = 0; i < ${count}; i++) { for (j = 0; j < ${spins}; j++) x += j; printf "2026-01-02T03:04:05.000Z INFO ${text}\\n", i, x } }`,
  ];
}
