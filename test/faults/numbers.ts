import type { Sighting } from './contract.ts';
import type { Findings } from './findings.ts';

/**
 * Checks that the numbers of a task's lines and gaps are dense from 1 on, where they are shown. Counts what `findings`
 * has not counted yet: whoever follows the lines' text finds most of it, too.
 */
export function judgeNumbers(task: string, log: readonly Sighting[], findings: Findings): void {
  // Where lines show none, gaps may all the same.
  if (log.some((sighting) => sighting.type === 'line' && sighting.line === undefined)) return;
  let next = 1;
  let lost = 0;
  let again = 0;
  let unknownSince = false;
  const seen = new Set<number>();
  for (const sighting of log) {
    const [from, to] = rangeOf(sighting);
    // Nobody knows whose lines they were, or how many of these.
    if (from === 0) {
      unknownSince = true;
      continue;
    }
    if (from > next && !unknownSince) {
      lost += from - next;
      findings.problem(`task ${task}: lines ${next} to ${from - 1} are neither there nor in a gap`);
    } else if (from < next && !isTrimmed(sighting)) {
      if (seen.has(from)) again++;
      findings.problem(`task ${task}: line ${from} comes behind line ${next - 1}`);
    }
    unknownSince = false;
    if (sighting.type === 'line') seen.add(from);
    next = Math.max(next, to + 1);
  }
  const { verdict } = findings;
  verdict.lost = Math.max(verdict.lost, lost);
  verdict.duplicated = Math.max(verdict.duplicated, again);
}

function rangeOf(sighting: Sighting): [number, number] {
  if (sighting.type === 'gap') return [sighting.fromLine, sighting.toLine];
  const { line = 0 } = sighting;
  return [line, line];
}

/** What is trimmed may reach back over lines that were seen before. */
function isTrimmed(sighting: Sighting): boolean {
  return sighting.type === 'gap' && sighting.reason === 'trimmed';
}
