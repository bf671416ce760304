import { kindOf, type Level, type Source } from '../shared/line.ts';
import type { BlockReader } from './blocks.ts';
import type { LineFilter } from './line-filter.ts';
import { LineRate } from './line-rate.ts';
import { LineSplitter, type LineSink } from './lines.ts';
import type { Outbox } from './outbox.ts';
import type { Output } from './output.ts';
import { pacedLines, type Pacer } from './pacer.ts';
import { Redactor } from './redact/redactor.ts';
import type { SecretSet } from './redact/secrets.ts';
import { Sealer } from './sealer.ts';

/**
 * Chunks of this much text are sealed no more often than this, though the link be idle: each costs several threads and
 * the relay's disk a turn, and a script that prints so much is not read line by line.
 */
const LARGE_TEXT_BYTES = 16 * 1024;
const LARGE_EVERY_MS = 10;

/** Less than this is copied rather than kept with its block. */
const SMALL_BYTES = 4 * 1024;

/** An unfinished line is shipped this long after its first byte: prompts and progress bars show. */
const PROMPT_AFTER_MS = 200;

export interface CaptureOptions {
  run: string;
  outbox: Omit<Outbox, 'end' | 'figures'>;
  secrets: SecretSet;
  /** Lines below it are teed only. */
  level: Level;
  maxPieceBytes?: number;
  maxMessageLength?: number;
  /** The longest a line waits in the open chunk, ms. */
  flushIntervalMs: number;
  /** Lines that leave at once when the link is idle. */
  batchSize: number;
  /** Which lines are shipped, by their text. */
  filter?: LineFilter;
  /** Lines a second, all pipes together; what comes above it is not shipped, and the log shows gaps. */
  maxLinesPerSecond?: number;
  /** Of the uplink, if it holds lines back. */
  pacer?: Pacer;
  /** Lines that may wait for the spool; no record has more of them. */
  bufferLines?: number;
}

/**
 * From the script's pipes to sealed chunks: redact, tee, find lines, build chunks, compress. Decides when a chunk is
 * sealed (it is full; nothing is unacknowledged; its oldest line has waited long enough) and when the script waits
 * (the outbox, the compressors or the tee's reader are behind).
 */
export class Capture {
  readonly #options: CaptureOptions;
  readonly #sealer: Sealer;
  readonly #rate: LineRate | undefined;
  readonly #sources: SourceCapture[] = [];
  #flushTimer: NodeJS.Timeout | undefined;
  #paceTimer: NodeJS.Timeout | undefined;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#sealer = new Sealer(options.run, (chunk) => {
      options.outbox.put(chunk);
      this.#update();
    });
    options.outbox.onChange = () => this.#update();
    const { maxLinesPerSecond } = options;
    this.#rate = maxLinesPerSecond === undefined ? undefined : new LineRate(maxLinesPerSecond, Date.now());
  }

  /** What was sealed so far. */
  get totals(): { nextSeq: number; lines: number; bytes: number } {
    const { nextSeq, lines, bytes } = this.#sealer;
    return { nextSeq, lines, bytes };
  }

  /** Blocks read from all pipes so far. */
  get blocks(): number {
    return this.#sources.reduce((sum, source) => sum + source.blocks, 0);
  }

  /** Whether a pipe is not read at the moment, because something behind it is full. */
  get paused(): boolean {
    return this.#sources.some((source) => source.paused);
  }

  /** Takes over a pipe of the script. Resolves when it has ended, or `signal` aborts and the rest is not read. */
  attach(source: Source, pipe: BlockReader, tee: Output | undefined, signal: AbortSignal): Promise<void> {
    const { pacer, bufferLines = Infinity } = this.#options;
    const splitter = new LineSplitter(this.#sink(), source, {
      ...this.#options,
      maxLines: Math.min(pacer ? pacedLines(pacer.perSecond) : Infinity, bufferLines),
    });
    const capture = new SourceCapture(splitter, new Redactor(this.#options.secrets), tee, () => this.#afterLines());
    this.#sources.push(capture);
    if (tee) tee.onDrain = () => this.#update();
    return capture.read(pipe, signal, () => this.#update());
  }

  #sink(): LineSink {
    const sealer = this.#sealer;
    const rate = this.#rate;
    const sink = { builder: sealer.builder, seal: () => sealer.seal() };
    if (!rate) return sink;
    const admits = (time: number): boolean => {
      const admitted = rate.admits(time);
      if (!admitted) sealer.leaveOut(time);
      else if (sealer.leftOut > 0) sealer.seal();
      return admitted;
    };
    return { ...sink, admits };
  }

  /** A line of the agent's own in the log: what the reader should know about this run. */
  note(level: Level, message: string): void {
    const text = Buffer.from(`${message.replaceAll('\n', ' ')}\n`);
    const { builder } = this.#sealer;
    if (!builder.fits(text.length - 1) || this.#sealer.leftOut > 0) this.#sealer.seal();
    builder.mark(kindOf('agent', level), Date.now(), text.length - 1);
    builder.copy(text, 0, text.length);
    this.#afterLines();
  }

  /** Seals what is left. Call it when all pipes have ended. Resolves when the outbox has everything. */
  async end(): Promise<void> {
    this.#sealer.seal();
    await this.#sealer.flushed();
    this.#sayWhatIsHeld();
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#paceTimer);
    this.#sealer.seal();
    await this.#sealer.flushed();
    this.#sealer.close();
  }

  /** What a reader can't see in the log: lines that are not in it by the user's wish, or that come late. */
  #sayWhatIsHeld(): void {
    const { pacer, outbox } = this.#options;
    const filtered = this.#sources.reduce((sum, source) => sum + source.filtered, 0);
    if (filtered > 0) this.note('INFO', `logStreaming.filters kept ${linesInWords(filtered)} out of this log`);
    if (!pacer || (pacer.heldLines === 0 && outbox.unsentLines <= pacer.perSecond)) return;
    const seconds = (pacer.heldMs / 1000).toFixed(1);
    const held = pacer.heldLines === 0 ? '' : ` ${linesInWords(pacer.heldLines)} for ${seconds} s in all;`;
    const unsent = `when the script ended, ${linesInWords(outbox.unsentLines)} of it had not arrived`;
    this.note('INFO', `performance.rateLimitPerSecond (${pacer.perSecond}) holds this log back:${held} ${unsent}`);
  }

  #afterLines(): void {
    this.#sealIfIdle();
    if (this.#sealer.builder.count > 0 || this.#sealer.leftOut > 0)
      this.#flushTimer ??= this.#armFlush(this.#options.flushIntervalMs);
    this.#update();
  }

  /** Nothing is unacknowledged and a line waits: it leaves, unless a large chunk has only just left. */
  #sealIfIdle(): void {
    const { builder, pending, sealedAt, sealedBytes } = this.#sealer;
    if (!this.#options.outbox.idle || pending > 0 || builder.count < this.#options.batchSize) return;
    const wait = sealedBytes < LARGE_TEXT_BYTES ? 0 : sealedAt + LARGE_EVERY_MS - performance.now();
    if (wait <= 0) this.#sealer.seal();
    else this.#paceTimer ??= setTimeout(() => this.#paced(), wait);
  }

  #paced(): void {
    this.#paceTimer = undefined;
    this.#sealIfIdle();
  }

  #armFlush(delay: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#flushTimer = undefined;
      const { builder } = this.#sealer;
      if (builder.count === 0) {
        this.#sealer.seal();
        return;
      }
      // The chunk may be a younger one than that for which the timer was set.
      const wait = builder.firstTime + this.#options.flushIntervalMs - Date.now();
      if (wait > 0 && wait <= this.#options.flushIntervalMs) this.#flushTimer = this.#armFlush(wait);
      else this.#sealer.seal();
    }, delay);
  }

  /** Something may have become idle, full or free. */
  #update(): void {
    this.#sealIfIdle();
    const wait = this.#options.outbox.full || this.#sealer.full;
    for (const source of this.#sources) source.hold(wait);
  }
}

/** One pipe: its redactor, its tee and its unfinished line. */
class SourceCapture {
  readonly #splitter: LineSplitter;
  readonly #redactor: Redactor;
  readonly #tee: Output | undefined;
  readonly #onLines: () => void;
  blocks = 0;
  paused = false;
  #pipe: BlockReader | undefined;
  #promptTimer: NodeJS.Timeout | undefined;
  /** When the redactor began to hold what it holds now. */
  #redactorSince = 0;

  constructor(splitter: LineSplitter, redactor: Redactor, tee: Output | undefined, onLines: () => void) {
    this.#splitter = splitter;
    this.#redactor = redactor;
    this.#tee = tee;
    this.#onLines = onLines;
  }

  async read(pipe: BlockReader, signal: AbortSignal, update: () => void): Promise<void> {
    this.#pipe = pipe;
    const stop = () => pipe.destroy();
    signal.addEventListener('abort', stop, { once: true });
    const ended = pipe.read((block, release) => this.#take(block, pipe.headroom, release));
    update();
    await ended;
    signal.removeEventListener('abort', stop);
    this.#pipe = undefined;
    this.paused = false;
    this.#end();
  }

  /** Lines that the filter has kept out. */
  get filtered(): number {
    return this.#splitter.filtered;
  }

  /** Stops or resumes reading, by what the caller says and by the tee's reader. */
  hold(wait: boolean): void {
    wait ||= this.#tee?.full ?? false;
    if (wait === this.paused || !this.#pipe) return;
    this.paused = wait;
    if (wait) this.#pipe.pause();
    else {
      this.#pipe.resume();
      this.#armPrompt(PROMPT_AFTER_MS);
    }
  }

  #take(block: Buffer, headroom: number, release: () => void): void {
    this.blocks++;
    const time = Date.now();
    const held = this.#redactor.holding;
    const clean = this.#redactor.push(block, headroom);
    if (!held || clean.length > 0) this.#redactorSince = time;
    if (clean.buffer === block.buffer && clean.length >= SMALL_BYTES) {
      this.#pass(clean, time, release);
    } else {
      // A few bytes should not keep a whole block while a tee is behind.
      const own = clean.buffer === block.buffer ? Buffer.from(clean) : clean;
      release();
      this.#pass(own, time);
    }
    this.#armPrompt(PROMPT_AFTER_MS);
    this.#onLines();
  }

  /** `release` is called when nobody looks at the bytes any more. */
  #pass(clean: Buffer, time: number, release: () => void = () => undefined): void {
    if (clean.length > 0) this.#splitter.push(clean, time);
    if (clean.length > 0 && this.#tee) this.#tee.write(clean, release);
    else release();
  }

  #armPrompt(delay: number): void {
    if (this.#splitter.holding || this.#redactor.holding) this.#promptTimer ??= setTimeout(() => this.#prompt(), delay);
  }

  /** Lets an unfinished line go that has waited long enough. */
  #prompt(): void {
    this.#promptTimer = undefined;
    // The rest of the line may have come long ago: it is we who do not read.
    if (this.paused) return;
    const time = Date.now();
    let moved = false;
    if (this.#redactor.holding && due(this.#redactorSince, time)) {
      const clean = this.#redactor.release();
      moved = clean.length > 0;
      this.#pass(clean, time);
    }
    if (this.#splitter.holding && (moved || due(this.#splitter.heldSince, time)))
      moved = this.#splitter.release(time) || moved;
    if (moved) this.#onLines();
    // What is younger has its own time to wait; what could not be let go waits for more bytes.
    const since = Math.max(
      this.#splitter.holding ? this.#splitter.heldSince : 0,
      this.#redactor.holding ? this.#redactorSince : 0,
    );
    if (since > 0 && !due(since, time)) this.#armPrompt(since + PROMPT_AFTER_MS - time);
    else if (moved) this.#armPrompt(PROMPT_AFTER_MS);
  }

  #end(): void {
    clearTimeout(this.#promptTimer);
    const time = Date.now();
    this.#pass(this.#redactor.end(), time);
    this.#splitter.end(time);
    this.#onLines();
  }
}

function linesInWords(lines: number): string {
  return lines === 1 ? '1 line' : `${lines} lines`;
}

function due(since: number, now: number): boolean {
  // A clock that was set back must not hold a prompt for long.
  return now - since >= PROMPT_AFTER_MS || now < since;
}
