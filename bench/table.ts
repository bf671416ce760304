/** One measured figure, and what DESIGN asks of it. */
export interface Row {
  stage: string;
  what: string;
  /** The median, where there were several runs. */
  value: number;
  unit: string;
  /** The floor or ceiling from DESIGN, if it has one. */
  bar?: Bar;
  /** The least and the most of several runs. */
  noise?: { least: number; most: number; runs: number };
  /** What it is compared with, or what else was seen. */
  note?: string;
}

export interface Bar {
  at: 'least' | 'most';
  value: number;
}

/** The median of several runs as a row. */
export function rowOf(runs: readonly number[], row: Omit<Row, 'value' | 'noise'>): Row {
  const value = median(runs);
  if (runs.length === 1) return { ...row, value };
  return { ...row, value, noise: { least: Math.min(...runs), most: Math.max(...runs), runs: runs.length } };
}

export function reaches({ value, bar }: Pick<Row, 'value' | 'bar'>): boolean | undefined {
  if (!bar) return undefined;
  return bar.at === 'least' ? value >= bar.value : value <= bar.value;
}

/** The rows as a Markdown table that also people without a viewer can read; `judged`: whether the figures mean enough
 * to say which bars are reached. */
export function rowTable(rows: readonly Row[], { judged }: { judged: boolean }): string {
  const cells = rows.map((row) => [
    row.stage,
    row.what,
    row.bar ? `${row.bar.at === 'least' ? '≥' : '≤'} ${figure(row.bar.value)} ${row.unit}` : '',
    `${figure(row.value)} ${row.unit}`,
    judged ? verdict(row) : '',
    row.noise ? `${figure(row.noise.least)} … ${figure(row.noise.most)} (${row.noise.runs})` : '',
    row.note ?? '',
  ]);
  return markdownTable(['stage', 'what', '>bar', '>measured', '', '>least … most (runs)', 'note'], cells);
}

function verdict(row: Row): string {
  const reached = reaches(row);
  if (reached === undefined) return '';
  return reached ? 'reached' : '**MISSED**';
}

/** Cells under their titles, padded to equal widths; a title that starts with `>` stands above figures. */
export function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const right = titles.map((title) => title.startsWith('>'));
  const head = titles.map((title) => title.replace('>', ''));
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column].length)));
  const pad = (cell: string, column: number): string =>
    right[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
  const line = (row: readonly string[]): string => `| ${row.map(pad).join(' | ')} |`;
  const rule = widths.map((width, column) => (right[column] ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** A number in as many digits as are worth reading. */
export function figure(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** The value below which that share of them lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
