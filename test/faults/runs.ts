import type { StoredRun, StoredTask } from './evidence.ts';
import type { Findings } from './findings.ts';
import type { Trace } from './trace.ts';
import type { TaskTruth, Writer } from './truth.ts';

/** Checks what the relay says of a task's runs against what became of them, and against its own log. */
export function judgeRuns(truth: TaskTruth, stored: StoredTask, { trace, findings }: Judging): void {
  const of = (writer: Writer): StoredRun[] =>
    stored.runs.filter(({ labels }) => labels.attempt === String(writer.author.attempt));
  const say = (sentence: string): void => findings.problem(`task ${truth.task}, ${sentence}`);

  let known = 0;
  for (const writer of truth.writers) {
    const runs = of(writer);
    known += runs.length;
    if (writer.outcome !== undefined) judgeAttempt(writer, runs, { truth, trace, findings, say });
  }
  if (truth.writers.every(({ sent }) => sent === undefined)) {
    for (const { run, labels } of stored.runs.filter(({ labels }) => labels.attempt === undefined))
      say(`run ${run}: nobody started it (${JSON.stringify(labels)})`);
    if (known < stored.runs.length) say(`${stored.runs.length} runs are shown, ${known} were started`);
  }
  for (const { run, verified } of stored.runs) if (verified === false) say(`run ${run}: it is shown as unverified`);
  judgeTotals(truth, stored, say);
}

export interface Judging {
  /** Of the stored log. */
  trace: Trace;
  findings: Findings;
}

type Say = (sentence: string) => void;

function judgeAttempt(
  { author, outcome }: Writer,
  runs: StoredRun[],
  { truth, trace, findings, say }: Judging & { truth: TaskTruth; say: Say },
): void {
  if (outcome === undefined) return;
  const which = `attempt ${author.attempt}`;
  const { attempt, killed, exitCode, mayDrop } = outcome;
  if (!killed && exitCode !== attempt.exitCode)
    findings.lines(
      'exitCodes',
      1,
      `task ${truth.task}, ${which}: its agent ended with ${exitCode}, its script with ${attempt.exitCode}`,
    );
  if (runs.length !== 1) {
    // One that was killed before it had said anything is known to nobody.
    if (!killed || runs.length > 1) say(`${which}: it has ${runs.length} runs`);
    return;
  }
  const [run] = runs;
  const came = trace.came.get(author.attempt) ?? 0;
  const died = killed && run.reason === 'agent-died';
  // Without a disk nothing was left that could be flushed: the run stays open.
  if (killed && outcome.spool === 'nothing' && mayDrop && run.reason === null) return;
  const expected = died
    ? { status: 'failed', exitCode: null, reason: 'agent-died', verified: true }
    : {
        status: attempt.exitCode === 0 ? 'succeeded' : 'failed',
        exitCode: attempt.exitCode,
        reason: 'exited',
        verified: true,
      };
  for (const member of ['status', 'exitCode', 'reason', 'verified'] as const) {
    if (run[member] !== expected[member])
      say(`${which}: ${member} is ${String(run[member])}, not ${String(expected[member])}`);
  }
  if (truth.trimmed === 0 && run.lines !== came)
    say(`${which}: its run has ${run.lines} lines, ${came} are in the log`);
  if (run.missing > 0 && !killed && !mayDrop) say(`${which}: ${run.missing} lines of its run are missing`);
}

/** Counts must agree with the log itself. */
function judgeTotals({ trimmed }: TaskTruth, { lines, missing, log }: StoredTask, say: Say): void {
  if (trimmed > 0) return;
  const seen = log.filter(({ type }) => type === 'line').length;
  let gaps = 0;
  for (const sighting of log) if (sighting.type === 'gap') gaps += sighting.toLine - sighting.fromLine + 1;
  if (seen !== lines) say(`it is said to have ${lines} lines, and ${seen} are there`);
  if (gaps !== missing) say(`${missing} of its lines are said to be missing, and gaps stand for ${gaps}`);
}
