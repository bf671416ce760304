import type { Sighting } from '../contract.ts';

/** What readers make of what the relay's own API says: of its messages, and of pages of its lines. */
export interface KerutaLine {
  id: string;
  taskId: string;
  lineNumber: number;
  source: 'stdout' | 'stderr' | 'agent';
  message: string;
  more?: true;
  rest?: true;
  run?: string;
}

export interface KerutaGap {
  fromLine: number;
  toLine: number;
  reason: string;
}

export interface Page {
  content: KerutaLine[];
  gaps?: KerutaGap[];
  next: string | null;
}

export function lineSighting({
  taskId: task,
  lineNumber: line,
  source,
  message,
  more,
  rest,
  run,
}: KerutaLine): Sighting {
  const pieces = { more: more === true, rest: rest === true, ...(run !== undefined && { run }) };
  return { type: 'line', task, line, source, text: interned(message), ...pieces };
}

export function gapSighting(task: string | undefined, { fromLine, toLine, reason }: Partial<KerutaGap>): Sighting {
  return { type: 'gap', task: task ?? '', fromLine: fromLine ?? 0, toLine: toLine ?? 0, reason: reason ?? '' };
}

/** Lines and gaps of a page in their order. Gaps that lie before `next` have been seen on an earlier page. */
export function pageSightings(task: string, { content, gaps = [] }: Page, next: number): Sighting[] {
  const all = [
    ...content.map(lineSighting),
    ...gaps.filter(({ toLine }) => toLine >= next).map((gap) => gapSighting(task, gap)),
  ];
  return all.sort((a, b) => firstLine(a) - firstLine(b));
}

/** The number of the line behind it. */
export function behind(sighting: Sighting): number {
  return (sighting.type === 'gap' ? sighting.toLine : (sighting.line ?? 0)) + 1;
}

/** Many readers see the same long lines: one copy of each is enough. */
export function interned(text: string): string {
  if (text.length < LONG) return text;
  const key = `${text.length} ${text.slice(0, 60)} ${text.slice(-30)}`;
  const known = longTexts.get(key);
  if (known === text) return known;
  if (longTexts.size >= MAX_LONG) longTexts.clear();
  longTexts.set(key, text);
  return text;
}

const longTexts = new Map<string, string>();
const LONG = 1000;
const MAX_LONG = 1000;

function firstLine(sighting: Sighting): number {
  return sighting.type === 'gap' ? sighting.fromLine : (sighting.line ?? 0);
}
