import type { Verdict } from './contract.ts';
import { POINTS } from './points.ts';
import { ACTIONS } from './arming.ts';
import type { Tally } from './tally.ts';

/** What a storm has found, of all its rounds. */
export interface StormResult {
  tally: Tally;
  verdicts: readonly Verdict[];
  rounds: number;
  failedRounds: number;
  leaks: number;
  seconds: number;
}

/** Lines to print. */
export function reportStorm({ tally, verdicts, rounds, failedRounds, leaks, seconds }: StormResult): string[] {
  const sum = (of: (verdict: Verdict) => number): string =>
    count(verdicts.reduce((all, verdict) => all + of(verdict), 0));
  const { all, inFlight } = tally.total;
  const recoveries = [...tally.recoveries].sort((a, b) => a - b);
  return [
    ...pointTable(tally),
    '',
    ...otherTable(tally),
    '',
    row('faults', `${count(all)}, ${count(inFlight)} of them while lines were in flight`),
    row(
      'lines checked',
      sum(({ linesChecked }) => linesChecked),
    ),
    row(
      'lost',
      sum(({ lost }) => lost),
    ),
    row(
      'duplicated',
      sum(({ duplicated }) => duplicated),
    ),
    row(
      'out of order',
      sum(({ outOfOrder }) => outOfOrder),
    ),
    row(
      'altered',
      sum(({ altered }) => altered),
    ),
    row('gaps that say so', gapsOf(verdicts)),
    row(
      'wrong exit codes',
      sum(({ exitCodes }) => exitCodes),
    ),
    row('leaks', count(leaks)),
    row('recovery', recoveryOf(recoveries)),
    row('rounds', `${rounds}, ${failedRounds === 0 ? 'none failed' : `${failedRounds} FAILED`}`),
    row('seconds', seconds.toFixed(0)),
  ];
}

/** A table point × action: how often it happened while lines were in flight. */
export function pointTable(tally: Tally): string[] {
  return [
    line(['at the point', ...ACTIONS]),
    ...POINTS.map(({ name }) => line([name, ...ACTIONS.map((action) => count(tally.inFlight(action, name)))])),
  ];
}

function otherTable(tally: Tally): string[] {
  const points = new Set<string>(POINTS.map(({ name }) => name));
  const rows = tally.rows.filter(({ at }) => !points.has(at)).sort((a, b) => (a.at + a.kind < b.at + b.kind ? -1 : 1));
  return rows.map(({ at, kind, inFlight }) => line([at, `${kind} ${count(inFlight)}`]));
}

function gapsOf(verdicts: readonly Verdict[]): string {
  const reasons = new Map<string, number>();
  for (const { gaps } of verdicts) {
    for (const [reason, lines] of Object.entries(gaps)) reasons.set(reason, (reasons.get(reason) ?? 0) + lines);
  }
  if (reasons.size === 0) return 'none';
  return [...reasons].map(([reason, lines]) => `${count(lines)} lines ${reason}`).join(', ');
}

function recoveryOf(sorted: readonly number[]): string {
  if (sorted.length === 0) return 'none was needed';
  return `p50 ${sorted[sorted.length >> 1]} ms, at most ${sorted[sorted.length - 1]} ms (${count(sorted.length)} times)`;
}

function row(name: string, value: string): string {
  return `${name.padEnd(18)} ${value}`;
}

function line([first, ...cells]: string[]): string {
  return `${first.padEnd(26)}${cells.map((cell) => cell.padStart(8)).join('')}`;
}

function count(number: number): string {
  return number.toLocaleString('en');
}
