import { StoreIndex } from './agreement.ts';
import type { Sighting, Verdict } from './contract.ts';
import type { Evidence, Seen } from './evidence.ts';
import { Findings, sumOf } from './findings.ts';
import { judgeMerged } from './merged-order.ts';
import { judgeNumbers } from './numbers.ts';
import { judgeRuns } from './runs.ts';
import { Trace } from './trace.ts';
import { truthsOf, type TaskTruth } from './truth.ts';

/**
 * Judges a storm from what was written, what the store has, and what readers saw: each line once, in order, identical,
 * or inside a gap that says so; runs that are shown as what they were; everybody agreeing with the store.
 */
export function judge(evidence: Evidence): Judgement {
  const truths = truthsOf(evidence);
  const indices = new Map<string, StoreIndex>();
  const store = sumOf(truths.map((truth) => judgeStored(truth, evidence, indices)));
  const readers = evidence.readers.map((reader) => ({
    name: reader.name,
    verdict: judgeReader(reader, truths, indices),
  }));
  judgeMerged(
    evidence.readers,
    readers.map(({ verdict }) => verdict),
  );
  return { total: sumOf([store, ...readers.map(({ verdict }) => verdict)]), store, readers };
}

export interface Judgement {
  total: Verdict;
  store: Verdict;
  readers: { name: string; verdict: Verdict }[];
}

function judgeStored(truth: TaskTruth, { store }: Evidence, indices: Map<string, StoreIndex>): Verdict {
  const findings = new Findings('store');
  const stored = store.find(({ task }) => task === truth.task);
  const log = stored?.log ?? [];
  const trace = traceOf(truth, log, findings);
  indices.set(truth.task, new StoreIndex(log, trace));
  if (stored !== undefined) judgeRuns(truth, stored, { trace, findings });
  else if (trace.certain) findings.problem(`task ${truth.task}: nobody knows it`);
  return findings.verdict;
}

function judgeReader(
  { name, tasks, seen }: Seen,
  truths: readonly TaskTruth[],
  indices: Map<string, StoreIndex>,
): Verdict {
  const mine = truths.filter(({ task }) => tasks.includes(task));
  const logs = new Map<string, Sighting[]>(mine.map(({ task }) => [task, []]));
  // Where lines were trimmed nobody may know any more whose they were: anybody's of whom some were.
  const trimmed = mine.filter(({ trimmed: through }) => through > 0).map(({ task }) => task);
  let unexplained = 0;
  for (const sighting of seen) {
    if (sighting.task !== '') logs.get(sighting.task)?.push(sighting);
    else if (trimmed.length === 0) unexplained++;
    else for (const task of trimmed) logs.get(task)?.push(sighting);
  }
  const verdicts = mine.map((truth) => {
    const log = logs.get(truth.task) ?? [];
    const findings = new Findings(name);
    const index = indices.get(truth.task);
    const shown = index?.asStored(truth.task, log, findings) ?? log;
    const trace = traceOf(truth, shown, findings);
    index?.judge(shown, trace, findings);
    return findings.verdict;
  });
  if (unexplained > 0) {
    const findings = new Findings(name);
    findings.problem('lines are missing of which nobody knows whose they are, and none were trimmed');
    verdicts.push(findings.verdict);
  }
  return sumOf(verdicts);
}

function traceOf(truth: TaskTruth, log: readonly Sighting[], findings: Findings): Trace {
  const trace = new Trace(truth, findings);
  for (const sighting of log) trace.take(sighting);
  trace.end();
  judgeNumbers(truth.task, log, findings);
  return trace;
}
