/**
 * What the storm's scripts and senders write: each line is a function of whose it is and which, so that the oracle can
 * work out what has to be there. A line begins with a head that says whose it is, `<task/attempt/o/index>`; nothing else
 * that is written has a `<` in it.
 */
export const SHAPES = ['flood', 'trickle', 'bursts', 'long', 'prompts', 'both', 'odd'] as const;
export type Shape = (typeof SHAPES)[number] | 'sent';

export interface Author {
  task: string;
  /** Which execution of the task; 0 of a sender. */
  attempt: number;
  shape: Shape;
  seed: number;
}

export type Pipe = 'stdout' | 'stderr';

/** The text of a line as readers see it, whole. Lines are numbered from 0 by source. */
export function textOf(author: Author, source: Pipe, index: number): string {
  const x = (author.seed * 7919 + index * 104_729 + (source === 'stderr' ? 31 : 0)) % 65_521;
  const head = `<${author.task}/${author.attempt}/${source === 'stderr' ? 'e' : 'o'}/${index}>`;
  const plain = `${head} ${FILLER.slice(x % 128, (x % 128) + 20 + (x % 100))}`;
  switch (author.shape) {
    case 'trickle':
      return `${head} x ${x}`;
    case 'long':
      return index % 4 === 3 ? plain + cells(author.attempt, index, 5000 + x) : plain;
    case 'prompts':
      if (index % 3 === 1) return `${plain}? answer ${x}`;
      return index % 3 === 2 ? `${head} ${BAR}` : plain;
    case 'odd': {
      const kind = index % ODD.length;
      if (kind === 0) return plain;
      return kind === EMPTY ? '' : `${head} ${ODD[kind]}`;
    }
    default:
      return plain;
  }
}

/** Whose a line is, by its head. Nothing, if it has none: an empty line, or a later piece of one. */
export function headOf(text: string): Head | undefined {
  const found = /^<([^/<>]+)\/(\d+)\/([oe])\/(\d+)>/.exec(text);
  if (found === null) return undefined;
  const [, task, attempt, source, index] = found;
  return { task, attempt: Number(attempt), source: source === 'o' ? 'stdout' : 'stderr', index: Number(index) };
}

export interface Head {
  task: string;
  attempt: number;
  source: Pipe;
  index: number;
}

/** What scripts of a seed exit with. */
export function exitCodeOf(seed: number): number {
  return [0, 7, 1, 42][seed % 4];
}

/** The value that odd scripts print and nobody may ever read. */
export function secretOf(seed: number): string {
  return `Zq7-storm-${(seed * 2_654_435_761) % 4_294_967_291}-kX9wV2`;
}

/** So that a piece from the middle of a long line tells where it is from. Every reader has the same few. */
function cells(attempt: number, index: number, count: number): string {
  const key = `${attempt} ${index} ${count}`;
  let text = made.get(key);
  if (text === undefined) {
    text = Array.from({ length: count }, (_, i) => `|${attempt}.${index}.${i}`).join('');
    if (made.size >= MOST_MADE) made.clear();
    made.set(key, text);
  }
  return text;
}

const made = new Map<string, string>();
const MOST_MADE = 64;

const BAR = `0%${Array.from({ length: 10 }, (_, i) => `\r${(i + 1) * 10}%`).join('')}`;

/** By the line's index; the text behind the head. Secrets are masked, the `\r` of a line end is no text. */
const ODD = [
  'plain',
  Buffer.from('fffe20c32820e28220656e64', 'hex').toString('utf8'),
  'a\0b',
  'other line end',
  'empty',
  'key *** end',
  '日本語 🙂',
  '\ttab \x1b[31mred\x1b[0m one\rtwo',
];
const EMPTY = 4;

/** Lines differ in where they begin and how long they are. */
export const FILLER =
  'compiling module after module, linking what was found, checking sums of 4711 parts; a test took 23 ms, another one ' +
  '1042; retrying the mirror in Oslo (attempt 2 of 5) and unpacking crates/serde-1.0.219; warming up caches for region ' +
  'north-7; pushed layer 9f8e7d to the store.';
