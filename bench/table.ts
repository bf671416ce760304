/** One measured figure, and what DESIGN asks of it. */
export interface Row {
  stage: string;
  what: string;
  value: number;
  unit: string;
  /** The floor or ceiling from DESIGN, if it has one. */
  bar?: { at: 'least' | 'most'; value: number };
  /** What it is compared with. */
  note?: string;
}

export function reaches({ value, bar }: Row): boolean | undefined {
  if (!bar) return undefined;
  return bar.at === 'least' ? value >= bar.value : value <= bar.value;
}

/** The rows as a table for people. */
export function printTable(rows: Row[]): string {
  const cells = rows.map((row) => [
    row.stage,
    row.what,
    `${figure(row.value)} ${row.unit}`,
    row.bar ? `${row.bar.at === 'least' ? '≥' : '≤'} ${figure(row.bar.value)}` : '',
    { true: 'reached', false: 'MISSED', undefined: '' }[String(reaches(row)) as 'true' | 'false' | 'undefined'],
    row.note ?? '',
  ]);
  const head = ['stage', 'what', 'measured', 'bar', '', ''];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)));
  const line = (row: string[]) =>
    row
      .map((cell, column) =>
        column === 2 || column === 3 ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
      )
      .join('  ')
      .trimEnd();
  return [line(head), ...cells.map(line)].join('\n');
}

function figure(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
