import type { AttemptOutcome, Sighting } from './contract.ts';
import type { Findings } from './findings.ts';
import { linesMissing, Pen, type Place } from './pen.ts';
import { headOf, type Pipe } from './text.ts';
import { mayBeLate, timesInDoubt, type TaskTruth, type Writer } from './truth.ts';

type Line = Extract<Sighting, { type: 'line' }>;
type Gap = Extract<Sighting, { type: 'gap' }>;

/**
 * Follows what somebody has seen of one task line by line, and finds what is wrong with it: each line must be the next
 * one of whoever wrote it, identical, or something is missing, doubled, swapped or altered. What is missing where a gap
 * stands is no loss, up to as many lines as the gap says.
 */
export class Trace {
  readonly truth: TaskTruth;
  /** Of each line, by its sighting: a name of its place in what was written. */
  readonly places = new Map<Sighting, string>();
  /** Lines and pieces that came, by the attempt that wrote them. */
  readonly came = new Map<number, number>();
  readonly #findings: Findings;
  readonly #pens: Held[];
  /** How often lines of a sender came again, by their index. */
  readonly #repeats = new Map<number, number>();
  /** Lines that gaps stand for, by reason. */
  readonly #gaps = new Map<string, number>();
  #gapCount = 0;
  #turn = 0;
  #unknownGap = false;

  constructor(truth: TaskTruth, findings: Findings) {
    this.truth = truth;
    this.#findings = findings;
    this.#pens = truth.writers.flatMap((writer) => [
      { pen: new Pen(writer.author, 'stdout'), writer, gapSince: false, usedAt: 0 },
      { pen: new Pen(writer.author, 'stderr'), writer, gapSince: false, usedAt: 0 },
    ]);
  }

  take(sighting: Sighting): void {
    if (sighting.type === 'gap') this.#gap(sighting);
    else if (sighting.source !== 'agent') this.#line(sighting, sighting.source);
  }

  /** Nothing follows. */
  end(): void {
    for (const { writer } of this.#pens.filter(({ pen }) => pen.source === 'stdout')) this.#endOf(writer);
    this.#judgeMissing();
    this.#judgeGaps();
  }

  /** Whether the store must know of the task: somebody has certainly brought something. */
  get certain(): boolean {
    return this.truth.writers.some(({ outcome, sent }) =>
      outcome === undefined ? sent.count > 0 : !outcome.killed || spooledLines(outcome) > 0,
    );
  }

  /** Whether all that the script of an attempt wrote is accounted for. Undefined if the script did not say. */
  #isWhole(writer: Writer): boolean | undefined {
    const wrote = wroteOf(writer);
    if (wrote === undefined) return undefined;
    return this.#pensOf(writer).every(({ pen }) => pen.index >= wrote[pen.source]);
  }

  #pensOf(writer: Writer): Held[] {
    return this.#pens.filter((one) => one.writer === writer);
  }

  #gap({ fromLine, toLine, reason }: Gap): void {
    const lines = fromLine === 0 ? 0 : toLine - fromLine + 1;
    if (fromLine === 0) this.#unknownGap = true;
    this.#findings.gap(reason, lines);
    this.#gaps.set(reason, (this.#gaps.get(reason) ?? 0) + lines);
    this.#gapCount++;
    const writers = this.truth.writers;
    const allowed: Record<string, boolean> = {
      dropped: writers.some(({ outcome }) => outcome?.mayDrop),
      trimmed: toLine <= this.truth.trimmed,
      'agent-died': writers.some(({ outcome }) => outcome?.killed),
    };
    if (!(allowed[reason] ?? false)) {
      const sentence = `task ${this.truth.task}: lines ${fromLine} to ${toLine} are a gap "${reason}", for which there is no cause`;
      this.#findings.problem(sentence);
    }
    if (reason === 'agent-died') return;
    for (const one of this.#pens) one.gapSince = true;
  }

  #line(line: Line, source: Pipe): void {
    const { text, more, rest } = line;
    const found = this.#locate(line, source);
    if (found === undefined) {
      // Whose an empty line is behind a gap can't be told. Where pieces are not marked, it may be the empty rest of one.
      if (text === '' && (more === undefined || this.#pens.some(({ gapSince }) => gapSince))) return;
      const expected = this.#pens.filter(({ pen }) => pen.source === source);
      const next = expected.map(({ pen }) => shown(pen.text(pen.index).slice(pen.offset))).join(' or ');
      this.#findings.lines('altered', 1, `${this.#where(line)}: expected ${next}, got ${shown(text)}`);
      return;
    }
    const { at, place } = found;
    const { pen, writer } = at;
    this.#findings.verdict.linesChecked++;
    const { attempt } = pen.author;
    this.came.set(attempt, (this.came.get(attempt) ?? 0) + 1);
    this.places.set(line, `${this.truth.task}/${attempt}/${source}/${place.index}/${place.from}`);
    if (more === false && place.to < pen.text(place.index).length)
      this.#findings.lines('altered', 1, `${this.#where(line)}: ${shown(text)} is cut, and does not say so`);
    if (rest !== undefined && rest !== (place.from > 0 || (text === '' && rest)))
      this.#findings.lines(
        'altered',
        1,
        `${this.#where(line)}: ${shown(text)} says that it is another piece than it is`,
      );
    const fate = pen.take(place, { more, excused: at.gapSince });
    at.gapSince = false;
    at.usedAt = ++this.#turn;
    if (fate === 'next') return;
    if (fate === 'again' && this.#mayRepeat(writer, place.index)) return;
    if (fate === 'late' && mayBeLate(writer, place.index)) return;
    if (fate === 'again') this.#findings.lines('duplicated', 1, `${this.#where(line)}: ${shown(text)} comes again`);
    else this.#findings.lines('outOfOrder', 1, `${this.#where(line)}: ${shown(text)} comes behind its successors`);
  }

  /** No oftener than it was sent in doubt. */
  #mayRepeat(writer: Writer, index: number): boolean {
    const times = (this.#repeats.get(index) ?? 0) + 1;
    this.#repeats.set(index, times);
    return times <= timesInDoubt(writer, index);
  }

  /** Whose line it is, and which. */
  #locate(line: Line, source: Pipe): { at: Held; place: Place } | undefined {
    const { text, rest, run } = line;
    const head = headOf(text);
    if (head !== undefined) {
      const at = this.#pens.find(
        ({ pen }) => pen.source === head.source && pen.author.attempt === head.attempt && pen.author.task === head.task,
      );
      if (at === undefined || head.source !== source || !at.pen.text(head.index).startsWith(text)) return undefined;
      return { at, place: { index: head.index, from: 0, to: text.length } };
    }
    // So little may be there of a line that it might be anybody's, if its run does not say whose it is: then whoever
    // wrote last goes on, more likely than not.
    const attempt = run === undefined ? undefined : this.truth.attempts.get(run);
    const pens = this.#pens
      .filter(({ pen }) => pen.source === source && (attempt === undefined || pen.author.attempt === attempt))
      .sort((a, b) => b.usedAt - a.usedAt);
    // A line that has begun goes on before another one begins.
    for (const at of [...pens.filter(({ pen }) => pen.begun), ...pens.filter(({ pen }) => !pen.begun)]) {
      const place = at.pen.fits(text, rest);
      if (place !== undefined) return { at, place };
    }
    if (text === '') return undefined;
    // It is not where it should be. Whose it is can still be told by what it says.
    for (const at of pens) {
      const cell = /\|\d+\.(\d+)\.\d+\|/.exec(text)?.[1];
      const { index } = at.pen;
      const candidates = cell === undefined ? around(index) : [Number(cell)];
      for (const candidate of candidates) {
        const from = at.pen.text(candidate).indexOf(text, 1);
        if (from !== -1) return { at, place: { index: candidate, from, to: from + text.length } };
      }
    }
    return undefined;
  }

  /** Nothing more comes of a writer. */
  #endOf(writer: Writer): void {
    const wrote = wroteOf(writer);
    const { outcome } = writer;
    const { task } = this.truth;
    if (wrote === undefined) {
      if (outcome?.killed !== true)
        this.#findings.problem(`task ${task}, attempt ${writer.author.attempt}: its script never came to its end`);
      return;
    }
    for (const { pen, gapSince } of this.#pensOf(writer)) {
      if (outcome?.killed === true) continue;
      const surplus = pen.close(wrote[pen.source], gapSince);
      const sentence = `task ${task}, attempt ${pen.author.attempt}: ${surplus} lines of ${pen.source} that nobody wrote`;
      this.#findings.lines('altered', surplus, sentence);
    }
  }

  /** What is missing must be explained: by a gap, and by no more lines than that says. */
  #judgeMissing(): void {
    const { task, trimmed } = this.truth;
    let excused = 0;
    for (const { pen, writer } of this.#pens) {
      for (const one of pen.missing) {
        const lines = linesMissing(one);
        if (one.excused) excused += lines;
        else {
          const { from, to } = one;
          const which = `lines ${from.index} to ${to.offset > 0 ? to.index : to.index - 1} of ${pen.source}`;
          const sentence = `task ${task}, attempt ${writer.author.attempt}: ${which} (as the writer numbers them) are lost`;
          this.#findings.lines('lost', lines, sentence);
        }
      }
    }
    for (const writer of this.truth.writers) this.#judgeKilled(writer);
    const forgiven = this.#explained();
    const more = excused - forgiven;
    this.#findings.lines('lost', more, `task ${task}: ${excused} lines are missing where gaps say ${forgiven}`);
    const surplus = forgiven - excused;
    // A gap may stand for pieces of a line, one at each of its ends, where lines are short.
    const pieces = this.truth.writers.some(({ author }) => author.shape === 'long' || author.shape === 'prompts');
    const certain = trimmed === 0 && !pieces && this.truth.writers.every(({ outcome }) => outcome?.killed !== true);
    if (certain && surplus > 2 * this.#gapCount)
      this.#findings.problem(`task ${task}: gaps stand for ${forgiven} lines, and only ${excused} are missing`);
  }

  /** Lines that gaps may stand for. */
  #explained(): number {
    if (this.#unknownGap) return Infinity;
    let lines = 0;
    for (const [reason, count] of this.#gaps) if (reason !== 'agent-died') lines += count;
    return lines;
  }

  /** What was in the spool when its agent was killed has to be there, and nothing else. */
  #judgeKilled(writer: Writer): void {
    const { outcome, author } = writer;
    if (outcome?.killed !== true || outcome.spool === undefined || this.#forgotten) return;
    const came = this.came.get(author.attempt) ?? 0;
    const which = `task ${this.truth.task}, attempt ${author.attempt}`;
    if (outcome.spool === 'nothing') {
      // Without a disk lines are sent from memory, and nobody knows which of them were.
      if (came > 0 && !outcome.mayDrop && this.#isWhole(writer) !== true)
        this.#findings.problem(
          `${which}: its dead agent left no spool, ${came} lines of it came, and those are not all`,
        );
      return;
    }
    const { lines } = outcome.spool;
    const missing = lines - came - this.#explained();
    const sentence = `${which}: ${lines} lines were in the spool of its dead agent, and ${came} came`;
    this.#findings.lines('lost', missing, sentence);
    if (came > lines && !outcome.mayDrop) this.#findings.problem(sentence);
  }

  /** An agent that died before its end says so, and no other. */
  #judgeGaps(): void {
    if (this.#forgotten) return;
    const killed = this.truth.writers.filter(({ outcome }) => outcome?.killed);
    const cut = killed.filter(({ outcome }) => isCut(outcome?.spool));
    const died = this.#gaps.get('agent-died') ?? 0;
    if (died >= cut.length && died <= killed.length - killed.filter(({ outcome }) => isEnded(outcome?.spool)).length)
      return;
    const sentence = `${killed.length} agents were killed, ${cut.length} of them left a run without its end, and ${died} gaps say agent-died`;
    this.#findings.problem(`task ${this.truth.task}: ${sentence}`);
  }

  /** Whether lines may be gone that were there. */
  get #forgotten(): boolean {
    return this.truth.trimmed > 0 || this.#unknownGap;
  }

  #where({ line }: Line): string {
    return `task ${this.truth.task}${line === undefined ? '' : `, line ${line}`}`;
  }
}

interface Held {
  pen: Pen;
  writer: Writer;
  /** Whether a gap came behind the pen's last line. */
  gapSince: boolean;
  /** When its last line came, in turns; 0 if none has. */
  usedAt: number;
}

type Spool = AttemptOutcome['spool'];

function spooledLines({ spool }: AttemptOutcome): number {
  return spool === undefined || spool === 'nothing' ? 0 : spool.lines;
}

function isCut(spool: Spool): boolean {
  return spool !== undefined && spool !== 'nothing' && !spool.ended;
}

function isEnded(spool: Spool): boolean {
  return spool === 'nothing' || spool?.ended === true;
}

function wroteOf({ outcome, sent }: Writer): Record<Pipe, number> | undefined {
  return sent === undefined ? outcome.attempt.wrote() : { stdout: sent.count, stderr: 0 };
}

/** Line indices where a line may be that is not where it should be, the nearest first. */
function* around(index: number): Generator<number> {
  for (let distance = 0; distance <= FAR; distance++) {
    yield index + distance;
    if (distance > 0 && index >= distance) yield index - distance;
  }
}

const FAR = 100;

function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}… (${text.length} characters)` : text);
}

const SHOWN = 100;
