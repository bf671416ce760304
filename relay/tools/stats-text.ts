import type { Stats } from './stats.ts';
import { bytesInWords, counted, inWords } from './words.ts';

/** What `stats` prints. */
export function statsText(stats: Stats): string {
  const { ratio, oldest, newest, biggest } = stats;
  const rows: [string, string][] = [
    ['file', stats.file],
    ['epoch', stats.epoch],
    [
      'on the disk',
      `${bytesInWords(stats.fileBytes)}, of which ${bytesInWords(stats.pendingBytes)} in the write-ahead log, ${bytesInWords(stats.freeBytes)} free`,
    ],
    ['tasks', withStatuses(stats.tasks, stats.tasksByStatus)],
    ['runs', withStatuses(stats.runs, stats.runsByStatus)],
    ['lines', `${inWords(stats.lines)} in ${counted(stats.chunks, 'chunk')}${missing(stats.missing)}`],
    [
      'text',
      `${bytesInWords(stats.textBytes)}, stored in ${bytesInWords(stats.storedBytes)}${ratio === null ? '' : ` (${(ratio * 100).toFixed(1)} %)`}`,
    ],
    ['oldest line', oldest === null ? 'none' : new Date(oldest).toISOString()],
    ['newest line', newest === null ? 'none' : new Date(newest).toISOString()],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  if (biggest.length > 0) {
    lines.push('', 'biggest tasks:');
    for (const { task, status, lines: count, storedBytes } of biggest) {
      lines.push(
        `  ${bytesInWords(storedBytes).padStart(10)}  ${counted(count, 'line').padStart(16)}  ${status.padEnd(9)}  ${task}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function withStatuses(count: number, byStatus: Readonly<Record<string, number>>): string {
  const statuses = Object.entries(byStatus).map(([status, one]) => `${inWords(one)} ${status}`);
  return statuses.length === 0 ? '0' : `${inWords(count)} (${statuses.join(', ')})`;
}

function missing(count: number): string {
  return count === 0 ? '' : `; ${counted(count, 'line')} missing`;
}
