import type { Latency, Tally } from './demo-tally.ts';

/** What came out of a demo. */
export interface Outcome {
  tally: Tally;
  /** As the script counted; NaN if it did not. */
  written: number;
  /** The agent's exit code. */
  exitCode: number | null;
  /** The task as `GET /tasks/{taskId}` tells it. */
  task: StoredTask;
}

export interface StoredTask {
  status: string;
  exitCode: number | null;
  lines: number;
  missing: number;
  /** Of text, a line end each included. */
  bytes: number;
  /** Of the chunks in which the store keeps it. */
  storedBytes: number;
}

/** What the script ends with. */
const EXIT_CODE = 3;

/** What is not as it should be, a sentence each. */
export function problems({ tally, written, exitCode, task }: Outcome): string[] {
  const { lines, messages, missing, disorder, leaks, maskedLine, end } = tally;
  const found: [boolean, string][] = [
    [exitCode !== EXIT_CODE, `the agent's exit code is ${exitCode}, the script's is ${EXIT_CODE}`],
    [task.exitCode !== EXIT_CODE, `the relay has the exit code ${task.exitCode}, the script's is ${EXIT_CODE}`],
    [end?.verified !== true, 'the relay could not verify that the log is complete'],
    [written !== lines, `the script wrote ${written} lines, the reader got ${lines}`],
    [task.lines !== messages, `the relay has ${task.lines} lines, the reader got ${messages}`],
    [missing + task.missing > 0, `${Math.max(missing, task.missing)} lines are missing`],
    [disorder !== undefined, `the order is broken: ${disorder}`],
    [leaks > 0, `the secret can be read in ${leaks} lines`],
    [maskedLine?.includes('***') !== true, 'the line with the secret did not come, or is not masked'],
  ];
  return found.filter(([wrong]) => wrong).map(([, sentence]) => sentence);
}

/** What a person wants to know in the end. */
export function summary({ tally, written, exitCode, task }: Outcome): string {
  const { others, flood } = tally.latency();
  const pieces = tally.messages - tally.lines;
  const rows: [string, string][] = [
    ['lines written', `${count(written)}, by the script's own count`],
    ['lines read', `${count(tally.lines)}, ${tally.disorder ?? 'each once and in order'}`],
    [
      'lines stored',
      `${count(task.lines)}${pieces > 0 ? `; ${count(pieces)} are later pieces of the progress bar's line` : ''}`,
    ],
    ['lines missing', count(task.missing)],
    [
      'text',
      `${megabytes(task.bytes)}, kept in ${megabytes(task.storedBytes)} (${percent(task.storedBytes, task.bytes)})`,
    ],
    ['latency', latencyText(others)],
    ['  in the burst', latencyText(flood)],
    ['exit code', `${exitCode} from the agent, ${task.exitCode} at the relay, which shows the task as ${task.status}`],
    ['the secret', tally.maskedLine ?? 'did not come'],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}\n`).join('');
}

/** How to go on. */
export const HOW_TO = `The same with a script of your own, in two terminals:

  npm run relay
  npm run agent -- execute --task-id my-task --script path/to/script.sh

and in a third one, to read along: npm run agent -- logs my-task --follow
`;

function count(lines: number): string {
  return Number.isNaN(lines) ? 'unknown' : lines.toLocaleString('en');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? 'nothing' : `${((100 * part) / whole).toFixed(1)} %`;
}

function latencyText({ lines, median, p99 }: Latency): string {
  if (lines === 0) return 'no such lines';
  return `median ${median} ms, p99 ${p99} ms from a line's timestamp to the reader (${count(lines)} lines)`;
}
