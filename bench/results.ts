import { reaches, rowTable, markdownTable, figure, type Row } from './table.ts';
import { peerTable, type PeerFigures } from './peers/figures.ts';

/** What a run of the benchmark found, as results.json keeps it. */
export interface Results {
  /** ISO 8601, when it ended. */
  date: string;
  seconds: number;
  smoke: boolean;
  /** What it ran on and which versions of what, in the order in which they are shown. */
  machine: Record<string, string>;
  rows: Row[];
  /** One for each program that was there, ours first; none if no peers were measured. */
  peers: PeerFigures[];
  /** What was not measured, and why. */
  skipped: { sentence: string }[];
}

/** The text of RESULTS.md. */
export function resultsPage(results: Results): string {
  return `# What the benchmark measured

Written by \`npm run bench -- --write\`, never by hand; [results.json](results.json) has the same for machines. Bars are
those of the design. Where a row has several runs, the figure is their median.

${resultsText(results)}`;
}

/** The same without the page around it, as it is printed. */
export function resultsText({ date, seconds, smoke, machine, rows, peers, skipped }: Results): string {
  const barred = rows.filter((row) => row.bar);
  const missed = barred.filter((row) => !reaches(row));
  const parts = [
    smoke && 'A smoke run: it shows that the benchmark works, and its figures mean nothing.',
    markdownTable(['on', ''], [...Object.entries(machine), ['date', `${date}, ${Math.round(seconds)} s in all`]]),
    rows.length > 0 && rowTable(rows, { judged: !smoke }),
    barred.length > 0 && !smoke && `${barred.length - missed.length} of ${barred.length} bars are reached.`,
    !smoke && missed.length > 0 && ['Missed:', '', ...missed.map((row) => `- ${missedLine(row)}`)].join('\n'),
    peers.length > 0 && peerTable(peers),
    ...skipped.map(({ sentence }) => sentence),
  ];
  return `${parts.filter((part) => part !== false).join('\n\n')}\n`;
}

function missedLine({ stage, what, value, unit, bar }: Row): string {
  const sign = bar?.at === 'least' ? '≥' : '≤';
  return `${stage}, ${what.replace(/^… /, '')}: ${figure(value)} of ${sign} ${figure(bar?.value ?? 0)} ${unit}`;
}
