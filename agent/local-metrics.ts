import { LEVELS, SOURCES } from '../shared/line.ts';
import type { OutboxFigures } from './outbox.ts';

/** What the local port tells of a run. */
export interface RunFigures {
  task: string | undefined;
  run: string;
  /** ms since 1970 */
  startedAt: number;
  /** The script has not ended yet. */
  running: boolean;
  /** Lines of the run by source and level (`source * 4 + level`), and bytes of their text. */
  counts: readonly number[];
  textBytes: number;
  outbox: OutboxFigures;
  /** Bytes of memory that the agent takes. */
  residentBytes: number;
}

/** The figures in the text format of Prometheus, version 0.0.4. */
export function metricsText(figures: RunFigures, now: number): string {
  const { outbox } = figures;
  const logs = SOURCES.flatMap((source, s) =>
    LEVELS.map((level, l): [string, number] => [`{source="${source}",level="${level}"}`, figures.counts[s * 4 + l]]),
  );
  return [
    family('keruta_logs_total', 'counter', 'Lines that were captured.', logs),
    family('keruta_log_bytes_total', 'counter', 'Bytes of their text.', [['', figures.textBytes]]),
    family('keruta_buffer_size', 'gauge', 'What waits to be acknowledged: lines, and bytes of memory.', [
      ['{type="lines"}', outbox.unsentLines],
      ['{type="memory_bytes"}', outbox.memoryBytes],
    ]),
    family('keruta_errors_total', 'counter', 'What went wrong: lines that are missing, connections that broke.', [
      ['{type="missing_lines"}', outbox.missingLines],
      ['{type="cut"}', outbox.cuts],
    ]),
    family('keruta_link_connected', 'gauge', '1 while the relay takes lines.', [['', Number(outbox.connected)]]),
    family('keruta_link_connections_total', 'counter', 'How often the link was opened.', [['', outbox.connections]]),
    family('keruta_spool_working', 'gauge', '1 while the spool can be written.', [['', Number(outbox.spooled)]]),
    family('keruta_script_running', 'gauge', '1 until the script has ended.', [['', Number(figures.running)]]),
    family('keruta_run_seconds', 'gauge', 'How long the run takes.', [['', (now - figures.startedAt) / 1000]]),
    family('process_resident_memory_bytes', 'gauge', 'Memory of the agent.', [['', figures.residentBytes]]),
  ].join('');
}

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly [string, number][]): string {
  const lines = samples.map(([labels, value]) => `${name}${labels} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

/** As the relay's /health says it. */
export function healthOf({ outbox, running }: RunFigures, now: number) {
  const checks = {
    spool: check(outbox.spooled, outbox.spoolProblem ?? 'lines are kept'),
    link: check(
      outbox.connected || outbox.disabled,
      outbox.problem ?? (outbox.disabled ? 'switched off' : 'connected'),
    ),
    script: check(true, running ? 'running' : 'ended'),
  };
  const healthy = Object.values(checks).every((one) => one.healthy);
  return { status: healthy ? 'healthy' : 'unhealthy', timestamp: new Date(now).toISOString(), checks } as const;
}

function check(healthy: boolean, message: string) {
  return { healthy, message, latency: 0 };
}
