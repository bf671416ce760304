import type { Finding, Verified } from './verify.ts';
import { counted } from './words.ts';

/** One sentence a finding: `task "t", lines 5 to 9: the body can't be read: crc does not match the bytes`. */
export function findingText({ task, run, fromLine, toLine, problem }: Finding): string {
  const where: string[] = [];
  if (task !== undefined) where.push(`task ${JSON.stringify(task)}`);
  if (run !== undefined) where.push(`run ${run}`);
  if (fromLine !== undefined) {
    where.push(toLine === undefined || toLine === fromLine ? `line ${fromLine}` : `lines ${fromLine} to ${toLine}`);
  }
  return where.length === 0 ? problem : `${where.join(', ')}: ${problem}`;
}

/** The last sentence. `shown`: so many findings were told at most. */
export function verifiedText(
  { tasks, runs, chunks, lines, findings }: Verified,
  { quick, shown }: { quick: boolean; shown: number },
): string {
  const what = `${counted(tasks, 'task')}, ${counted(runs, 'run')}, ${counted(chunks, 'chunk')}, ${counted(lines, 'line')}`;
  if (findings === 0) return `sound: ${what}${quick ? ' (bodies were not read)' : ''}`;
  const more = findings > shown ? `, of which the first ${shown} were shown,` : '';
  return `not sound: ${counted(findings, 'problem')}${more} in ${what}`;
}
