import type { Lines } from '../../../shared/columns.ts';
import { levelOf, SOURCES, sourceOf } from '../../../shared/line.ts';
import type { MergedGap, MergedLines } from '../../merged/merged-event.ts';
import type { TaskFacts } from '../../merged/task-facts.ts';
import { SYSTEM_TASK } from '../../system-task.ts';
import { eachLine } from '../event-lines.ts';
import { gapText } from '../gap-text.ts';
import { iso } from '../iso.ts';
import { metadataJson } from '../metadata-json.ts';

/**
 * Stratal's words: a job run is a group of tasks, a task run is a task. What a relay says itself is `system`; lines of
 * the task that bears the job run's id are the `job`'s own.
 */
export type LogType = (typeof LOG_TYPES)[number];
export const LOG_TYPES = ['system', 'job', 'task'] as const;

export function logType({ task, group }: TaskFacts): LogType {
  if (task === SYSTEM_TASK) return 'system';
  return task === group ? 'job' : 'task';
}

/** Calls `take` with the log message of each line of an event as JSON, and with the line's position. */
export function eachMessage(event: MergedLines, take: (json: string, position: number) => void): void {
  const { job, task, type } = idsOf(event.task);
  const head = `{"type":"${type}","job_run_id":${JSON.stringify(job ?? '')}${member('task_run_id', task)},"timestamp":"`;
  const tail = member('task_name', event.task.name);
  const texts = new Texts();
  eachLine(event, ({ lines }, index) => {
    const metadata = metadataOf(lines, index);
    const rest = metadata === undefined ? tail : `${tail},"metadata":${metadata}`;
    const words = WORDS[lines.kinds[index] & PAIR_BITS];
    const json = `${head}${texts.time(lines, index)}${words}${texts.message(lines, index)}${rest}}`;
    take(json, event.block.position + index);
  });
}

/** The log message that stands for lines that are missing; `time` is when that was said. */
export function gapMessage(gap: MergedGap, time: number): string {
  const { job, task, type } = idsOf(gap.task);
  return JSON.stringify({
    type,
    job_run_id: job ?? '',
    ...(task !== undefined && { task_run_id: task }),
    timestamp: iso(time),
    level: 'warn',
    stream: 'system',
    message: gapText(gap),
    ...(gap.task?.name !== undefined && { task_name: gap.task.name }),
    metadata: gapMetadata(gap),
  });
}

/** A log message of the relay's own, in every stream: `level` and words. */
export function noticeMessage(message: string, { time, metadata }: { time: number; metadata: object }): string {
  const words = { type: 'system', job_run_id: '', timestamp: iso(time), level: 'warn', stream: 'system' };
  return JSON.stringify({ ...words, message, metadata });
}

/** What a stream begins with on a WebSocket: shaped like a log. */
export function connectedMessage(job: string | undefined, time: number): string {
  const words = { type: '', job_run_id: job ?? '', timestamp: iso(time), level: 'info', stream: 'system' };
  return JSON.stringify({ ...words, message: CONNECTED });
}

/** Calls `take` with each line of an event as REST shows it, in order. */
export function eachLog(event: MergedLines, take: (json: string) => void): void {
  const { job, task, type } = idsOf(event.task);
  const ids = `,"type":"${type}","job_run_id":${JSON.stringify(job ?? null)},"task_run_id":${JSON.stringify(task ?? null)},"timestamp":"`;
  const texts = new Texts();
  eachLine(event, ({ lines }, index) => {
    const time = texts.time(lines, index);
    const words = WORDS[lines.kinds[index] & PAIR_BITS];
    const message = texts.message(lines, index);
    const metadata = metadataOf(lines, index) ?? 'null';
    const id = event.block.position + index;
    take(`{"id":${id}${ids}${time}${words}${message},"metadata":${metadata},"created_at":"${time}"}`);
  });
}

/** The log that stands for lines that are missing in REST; its id is the first position of them. */
export function gapLog(gap: MergedGap, time: number): string {
  const { job, task, type } = idsOf(gap.task);
  return JSON.stringify({
    id: gap.fromPosition,
    type,
    job_run_id: job ?? null,
    task_run_id: task ?? null,
    timestamp: iso(time),
    level: 'warn',
    stream: 'system',
    message: gapText(gap),
    metadata: gapMetadata(gap),
    created_at: iso(time),
  });
}

/** The lines of an event as a download has them: `[time] [type] [level] [stream] message`. */
export function downloadLines(event: MergedLines): string {
  const type = logType(event.task);
  let text = '';
  eachLine(event, ({ lines: { text: bytes, starts, times, kinds } }, index) => {
    const kind = kinds[index];
    const words = { time: times[index], type, level: levelWord(kind), stream: streamWord(kind) };
    text += downloadLine(words, bytes.toString('utf8', starts[index], starts[index + 1] - 1));
  });
  return text;
}

/** A message of several lines goes on behind tabs. */
export function downloadLine({ time, type, level, stream }: DownloadWords, message: string): string {
  const indented = message.includes('\n') ? message.replaceAll('\n', '\n\t') : message;
  const when = iso(time).replace('T', ' ').replace('Z', '');
  return `[${when}] [${type}] [${level}] [${stream}] ${indented}\n`;
}

interface DownloadWords {
  /** ms since 1970 */
  time: number;
  type: LogType;
  level: string;
  stream: string;
}

/** Whose a line is. Without a task: nobody knows, and the relay says so itself. */
function idsOf(facts: TaskFacts | undefined): { type: LogType; job?: string; task?: string } {
  const type = facts === undefined ? 'system' : logType(facts);
  if (facts === undefined || type === 'system') return { type };
  return type === 'job' ? { type, job: facts.group } : { type, job: facts.group, task: facts.task };
}

/** Which lines, as far as that is known, and which positions. */
function gapMetadata({ fromLine, toLine, fromPosition, toPosition, reason }: MergedGap): object {
  const lines = {
    ...(fromLine !== undefined && { from_line: fromLine }),
    ...(toLine !== undefined && { to_line: toLine }),
  };
  return { gap: { reason, ...lines, from_id: fromPosition, to_id: toPosition } };
}

/** The parts of a line that cost something to write. */
class Texts {
  #time = NaN;
  #timestamp = '';

  /** Lines of one moment stand together. */
  time({ times }: Lines, index: number): string {
    if (times[index] !== this.#time) {
      this.#time = times[index];
      this.#timestamp = iso(this.#time);
    }
    return this.#timestamp;
  }

  message({ text, starts }: Lines, index: number): string {
    return JSON.stringify(text.toString('utf8', starts[index], starts[index + 1] - 1));
  }
}

function metadataOf({ metadata }: Lines, index: number): string | undefined {
  const text = metadata?.[index];
  return text === undefined ? undefined : metadataJson(text);
}

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}

function levelWord(kind: number): string {
  return levelOf(kind).toLowerCase();
}

/** Stratal knows no agent: what ours says itself is the system's. */
function streamWord(kind: number): string {
  const source = sourceOf(kind);
  return source === 'agent' ? 'system' : source;
}

export const CONNECTED = 'Connected to log stream';
const PAIR_BITS = 0b1111;
/** The members between timestamp and message, by the bits of source and level. */
const WORDS = Array.from({ length: PAIR_BITS + 1 }, (_, kind) =>
  (kind & 0b11) < SOURCES.length ? `","level":"${levelWord(kind)}","stream":"${streamWord(kind)}","message":` : '',
);
