import { setTimeout as delay } from 'node:timers/promises';
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type { LineInput } from '../../../../shared/columns.ts';
import { ERRORS, KerutaError } from '../../../../shared/errors.ts';
import type { Caller } from '../../../caller.ts';
import { toKerutaError } from '../../../http-errors.ts';
import type { Worker, WorkerRun } from '../../../senders/worker-runs.ts';
import type { Window } from '../../../window.ts';
import { Answers, type Answer, type Slot } from './answers.ts';
import { lineOfEntry } from './entry.ts';
import { FrameCutter, type Frame } from './frames.ts';
import type { GrpcParts } from './grpc-parts.ts';
import type { AnswerMessage, LogEntryMessage } from './messages.ts';
import type { Codec } from './services.ts';
import { grpcError } from './status.ts';
import { Targets } from './targets.ts';
import { Teller } from './teller.ts';
import { inflated, type Wire } from './wire.ts';

/**
 * One stream of entries: each becomes a line of its worker's run, and is answered when that is durable. Entries that
 * came together are stored together, so one that can't be stored takes no others with it but those. A stream that is
 * cut, cancelled or past its deadline is read to the end of what has come.
 */
export class EntryStream<Entry extends LogEntryMessage> {
  readonly #options: EntryStreamOptions<Entry>;
  readonly #answers = new Answers();
  readonly #teller: Teller;
  readonly #targets: Targets;
  readonly #window: Window;
  readonly #gone = new AbortController();
  #room: PromiseWithResolvers<void> | undefined;
  /** Resolves at the next answer that the store gives. */
  #answered: PromiseWithResolvers<void> | undefined;
  #group: Group | undefined;
  #pending = 0;
  #settled: (() => void) | undefined;
  #problem: KerutaError | undefined;
  /** Until when nothing is read, ms on the monotonic clock. */
  #heldUntil = 0;
  #unheard = 0;

  constructor(options: EntryStreamOptions<Entry>) {
    this.#options = options;
    const { parts, caller, wire, codec } = options;
    this.#teller = new Teller(wire.stream, { answers: this.#answers, serialize: codec.responseSerialize });
    this.#targets = new Targets({ ...parts, caller, gone: this.#gone.signal });
    this.#window = parts.senders.window({
      pause: () => (this.#room ??= Promise.withResolvers()),
      resume: () => {
        this.#room?.resolve();
        this.#room = undefined;
      },
    });
  }

  /** Resolves when all that has come is answered and the stream is closed. */
  async serve(): Promise<void> {
    const { call, wire } = this.#options;
    const closed = new Promise<void>((resolve) => {
      if (wire.stream.destroyed) resolve();
      else wire.stream.once('close', resolve);
    });
    void closed.then(() => this.#gone.abort());
    // Also when the deadline has passed, and then the stream may stay open.
    call.once('cancelled', () => wire.incoming.stop());
    call.sendMetadata(new Metadata());
    try {
      await this.#read();
    } catch (error) {
      this.#problem ??= toKerutaError(error);
      this.#options.parts.log.error({ err: error }, 'a stream of entries failed');
      wire.incoming.stop();
    }
    await this.#allSettled();
    this.#leave();
    // Only of a client that has half-closed is it known that it waits for answers.
    const patienceMs = wire.incoming.halfClosed ? END_PATIENCE_MS : CUT_PATIENCE_MS;
    const patience = setTimeout(() => wire.stream.close(CANCEL), patienceMs);
    await Promise.race([this.#teller.told(), closed]);
    this.#end();
    await closed;
    clearTimeout(patience);
    this.#teller.stop();
    this.#reportUnheard();
  }

  /** Takes nothing more; what came is stored and answered, then the stream ends with this. */
  end(problem: KerutaError): void {
    this.#problem ??= problem;
    this.#options.wire.incoming.stop();
  }

  async #read(): Promise<void> {
    const { wire, parts } = this.#options;
    const cutter = new FrameCutter(parts.config.maxMessageBytes);
    for await (const bytes of wire.incoming.bytes()) {
      for (const frame of cutter.cut(bytes)) await this.#take(frame);
      this.#store();
      await this.#flow();
    }
  }

  async #take(frame: Frame): Promise<void> {
    const { parts, senderOf } = this.#options;
    const entry = await this.#entryOf(frame);
    if ('status' in entry) {
      this.#answer(this.#number(), entry);
      return;
    }
    const sender = senderOf(entry);
    if ('status' in sender) {
      this.#answer(0, sender);
      return;
    }
    if (entry.task_id === '' || entry.message === '') {
      const missing = entry.task_id === '' ? 'task_id' : 'message';
      this.#answer(0, { status: 'RETRY', message: `${missing} is required` });
      return;
    }
    const sequence = this.#number();
    const line = lineOfEntry(entry, parts.now());
    if (typeof line === 'string') this.#answer(sequence, { status: 'DROP', message: line });
    else await this.#add(entry.task_id, sender, { line, sequence });
  }

  #number(): number {
    const sequence = this.#options.sequence();
    return sequence === undefined ? 0 : ++sequence.last;
  }

  async #entryOf(frame: Frame): Promise<Entry | Answer> {
    const { wire, parts, codec } = this.#options;
    const maxBytes = parts.config.maxMessageBytes;
    if ('tooLarge' in frame)
      return { status: 'DROP', message: `The entry has ${frame.tooLarge} bytes; ${maxBytes} are allowed` };
    try {
      const { encoding } = wire;
      return codec.requestDeserialize(
        frame.compressed ? await inflated(frame.bytes, { encoding, maxBytes }) : frame.bytes,
      );
    } catch (error) {
      return {
        status: 'DROP',
        message: error instanceof KerutaError ? error.message : 'The entry is no message of this kind',
      };
    }
  }

  /** Puts a line behind those that came with it, if they go into the same run. */
  async #add(task: string, worker: Worker, { line, sequence }: { line: LineInput; sequence: number }): Promise<void> {
    const { parts } = this.#options;
    const bytes = line.text.length + (line.metadata?.length ?? 0) + LINE_OVERHEAD_BYTES;
    let group = this.#group;
    const fits =
      group?.run.task === task &&
      group.run.workerId === worker.workerId &&
      // Other streams of the session take numbers, too.
      group.sequence + group.lines.length === sequence;
    if (!fits || (group?.bytes ?? 0) + bytes > MAX_GROUP_BYTES || group?.lines.length === MAX_GROUP_LINES) {
      this.#store();
      try {
        parts.senders.admitHeld();
        group = { run: await this.#targets.of(task, worker), lines: [], bytes: 0, sequence };
      } catch (error) {
        this.#answer(sequence, this.#refusal(error));
        return;
      }
    }
    if (group === undefined) return;
    group.lines.push(line);
    group.bytes += bytes;
    this.#group = group;
  }

  /** Hands the open group over to its run. */
  #store(): void {
    const group = this.#group;
    this.#group = undefined;
    if (group === undefined) return;
    const { parts, caller } = this.#options;
    const { run, lines, bytes, sequence } = group;
    const from = { address: caller.address, task: run.task, principal: caller.principal };
    const holdMs = parts.limits.lines(from, lines.length, bytes - lines.length * LINE_OVERHEAD_BYTES);
    if (holdMs > 0) this.#heldUntil = performance.now() + holdMs;
    const slot = this.#answers.expect(lines.length, sequence);
    run.usedAt = parts.now();
    this.#window.take(bytes);
    this.#pending++;
    void this.#write(group).then((answer) => {
      this.#window.release(bytes);
      this.#pending--;
      this.#settle(slot, { ...answer, ...(holdMs > 0 && { throttleMs: Math.ceil(holdMs) }) });
      this.#answered?.resolve();
      this.#answered = undefined;
      if (this.#pending === 0) this.#settled?.();
    });
  }

  /** Where nobody is left who could send them again, lines that the store refuses are given to it once more. */
  async #write({ run, lines }: Group): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        await run.sender.write(lines);
        return { status: 'ACK' };
      } catch (error) {
        const refusal = this.#refusal(error);
        const again = refusal.status === 'RETRY' && this.#gone.signal.aborted && attempt < MAX_ATTEMPTS;
        if (!again || this.#options.parts.senders.draining) return refusal;
        await delay(AGAIN_MS);
      }
    }
  }

  /** Waits while the sender is to be slowed down: its next bytes then wait on its side. */
  async #flow(): Promise<void> {
    for (let waitMs = this.#heldUntil - performance.now(); waitMs > 0 && !this.#gone.signal.aborted;) {
      await delay(waitMs, undefined, { signal: this.#gone.signal }).catch(() => undefined);
      waitMs = this.#heldUntil - performance.now();
    }
    await this.#room?.promise;
    // Entries that are refused take no room, but their answers wait for those before them.
    while (this.#pending > 0 && this.#answers.awaited > MAX_AWAITED)
      await (this.#answered ??= Promise.withResolvers()).promise;
  }

  #answer(sequence: number, answer: Answer): void {
    // What came before it has a place before it.
    this.#store();
    this.#settle(this.#answers.expect(1, sequence), answer);
  }

  #settle(slot: Slot, answer: Answer): void {
    const { parts, wire } = this.#options;
    parts.meter.entriesAnswered(answer.status, slot.count);
    if (answer.status !== 'ACK' && wire.stream.destroyed) this.#unheard += slot.count;
    this.#answers.settle(slot, answer);
    this.#teller.tellSoon();
  }

  #refusal(error: unknown): Answer {
    const shown = this.#options.parts.senders.failed(error);
    const { status } = ERRORS[shown.code];
    if (status === 500) this.#options.parts.log.error({ err: error }, 'an entry could not be stored');
    return { status: FINAL.has(status) ? 'DROP' : 'RETRY', message: shown.message };
  }

  async #allSettled(): Promise<void> {
    if (this.#pending > 0) await new Promise<void>((resolve) => (this.#settled = resolve));
  }

  #leave(): void {
    const { wire, call, idleMs, graceMs = idleMs } = this.#options;
    // The client's own clock for it may be ahead of ours.
    const late = Number(call.getDeadline()) <= Date.now() + DEADLINE_AHEAD_MS;
    const afterMs = late ? idleMs : graceMs;
    this.#targets.leave({ finished: wire.incoming.halfClosed, afterMs });
    this.#window.close();
    this.#room?.resolve();
  }

  #end(): void {
    const { call, wire } = this.#options;
    if (wire.stream.destroyed || call.destroyed) return;
    if (this.#problem === undefined) call.end();
    else call.emit('error', grpcError(this.#problem));
  }

  /** Nobody could be told, so it is said here: a loss is never silent. */
  #reportUnheard(): void {
    const { parts, caller } = this.#options;
    if (this.#unheard === 0) return;
    const who = { entries: this.#unheard, caller: caller.principal.name, address: caller.address };
    parts.log.warn(who, 'entries were not stored, and their sender had gone before it could be told');
  }
}

export interface EntryStreamOptions<Entry> {
  parts: GrpcParts;
  call: ServerDuplexStream<unknown, unknown>;
  wire: Wire & Required<Pick<Wire, 'incoming'>>;
  caller: Caller;
  codec: Codec<Entry, AnswerMessage>;
  /** Whose entry it is, or why it is not taken. */
  senderOf: (entry: Entry) => Worker | Answer;
  /** The number of the last entry of the session; undefined before there is a session. */
  sequence: () => { last: number } | undefined;
  /** How long a run waits for its worker after its deadline, and, if that differs, after it went without a word. */
  idleMs: number;
  graceMs?: number;
}

/** Lines of one run that came together. */
interface Group {
  run: WorkerRun;
  lines: LineInput[];
  bytes: number;
  /** Of the first one. */
  sequence: number;
}

/** HTTP statuses of errors that no second attempt changes. */
const FINAL: ReadonlySet<number> = new Set([400, 401, 403, 404, 413]);
/** What a line takes in memory beside its bytes. */
const LINE_OVERHEAD_BYTES = 128;
const MAX_GROUP_BYTES = 256 * 1024;
const MAX_GROUP_LINES = 4096;
/** Answers that wait for the store, or for others that do. */
const MAX_AWAITED = 16 * 1024;
const AGAIN_MS = 1000;
/** Ten minutes. */
const MAX_ATTEMPTS = 600;
/** A client that does not take its last answers, or does not go although it was told to. */
const END_PATIENCE_MS = 10_000;
const CUT_PATIENCE_MS = 1000;
/** A deadline runs from when the client makes the call; ours from when that has come. */
const DEADLINE_AHEAD_MS = 10_000;
/** HTTP/2's error code CANCEL. */
const CANCEL = 8;
