import { newUlid } from '../shared/ulid.ts';
import type { Hello } from '../shared/agent-message.ts';
import type { RelayMessage } from '../shared/relay-message.ts';
import type { Backoff } from './backoff.ts';
import type { Backlog } from './delivery-backlog.ts';
import type { QueuedRecord } from './delivery-queue.ts';
import type { Pacer } from './pacer.ts';
import { EMPTY_CHAIN, type Chain } from './spool-record.ts';
import type { Connect, Connection } from './uplink-connection.ts';
import { Flight } from './uplink-flight.ts';
import { Line } from './uplink-line.ts';

/**
 * The agent's side of the link (shared/wire.ts): a reader of the backlog that sends what it finds, as far ahead of the
 * acknowledgements as the window allows, and comes back after every cut, from where the relay says.
 *
 * On `ready` the relay's digest is compared with that of our own records up to its nextSeq:
 *   - equal: goes on from there. Below what was acknowledged, the relay was put back to an older copy of its store and
 *     gets again what the spool still has; what it hasn't becomes a gap.
 *     A relay with another store is taken for the same: it gets what it lacks, as far as the spool still has it.
 *   - different, but our spool was damaged: goes on from where the relay is; `end` shows whether all is there.
 *   - different, or in the middle of a record, or beyond our end: someone else has written this run (a copied spool).
 *     What the relay has not acknowledged to us goes on as a new run, labelled `continues`. Lines that the other writer
 *     has sent too come twice then; none is lost. What another relay acknowledged counts for nothing here.
 */
export class Uplink {
  /** Something that is read below has changed. */
  onChange: () => void = () => undefined;
  /** The relay takes records. */
  connected = false;
  /** It has been connected before. */
  reached = false;
  outcome: 'verified' | 'unverified' | undefined;
  /** Records are held back: others of the task go first. */
  waits = false;
  /** Grows with every acknowledgement that brings something. */
  progress = 0;
  readonly #options: UplinkOptions;
  readonly #backlog: Backlog;
  readonly #line: Line;
  #flight = new Flight();
  #windowBytes = 0;
  /** Taken from the backlog, and does not fit into the window yet. */
  #held: QueuedRecord | undefined;
  #endSent = false;
  /** `end` was in vain: it is sent again once all else is acknowledged, when the relay has surely answered the first. */
  #endAgain = false;
  #refusals = 0;
  #invalidSeq = -1;
  #reportedSeq = 0;
  #idleTicks = 0;
  #timer: NodeJS.Timeout | undefined;
  #paceTimer: NodeJS.Timeout | undefined;
  #disposed = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#backlog = options.backlog;
    this.#line = new Line({
      ...options,
      onOpen: (connection) => connection.send(JSON.stringify(this.#hello())),
      onMessage: (message) => this.#receive(message),
      onClosed: () => this.#forget(),
      onChange: () => this.onChange(),
    });
  }

  /** It does not try any more; `problem` says why. */
  get stopped(): boolean {
    return this.#line.stopped;
  }

  /** Why there is no connection, in a sentence. */
  get problem(): string | undefined {
    return this.#line.problem;
  }

  /** Nothing is unacknowledged. */
  get idle(): boolean {
    return this.connected && !this.waits && this.#backlog.acked.seq === this.#backlog.nextSeq;
  }

  /** Connects, from what the backlog knows to be acknowledged. Does nothing once it is disposed of. */
  start(connect: Connect): void {
    if (this.#disposed) return;
    this.#flight = new Flight(this.#backlog.acked);
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
    this.#line.start(connect);
  }

  /** Makes no (more) attempts, and says why. */
  giveUp(problem: string): void {
    this.#line.giveUp(problem);
    this.onChange();
  }

  /** Sends what can be sent. To be called when the backlog may have something. */
  pump(): void {
    const { connection } = this.#line;
    if (!connection || !this.connected || this.waits) return;
    const windowBytes = Math.min(this.#windowBytes, this.#backlog.flightLimitBytes);
    while (connection.bufferedBytes <= MAX_BUFFERED_BYTES) {
      const record = this.#held ?? this.#backlog.next();
      this.#held = record;
      if (!record || (this.#flight.bytes > 0 && this.#flight.bytes + record.bytes.length > windowBytes)) break;
      const waitMs = this.#options.pacer?.take(record.lines) ?? 0;
      if (waitMs > 0) {
        this.#paceTimer ??= setTimeout(() => this.#paced(), waitMs).unref();
        break;
      }
      this.#held = undefined;
      connection.send(record.bytes);
      this.#flight.push(record, record.bytes.length);
    }
    if (!this.#endSent && !this.#held && this.#backlog.endReadable) this.#sendEnd(connection);
  }

  dispose(): void {
    this.#disposed = true;
    this.connected = false;
    clearInterval(this.#timer);
    clearTimeout(this.#paceTimer);
    this.#line.dispose();
  }

  #paced(): void {
    this.#paceTimer = undefined;
    this.pump();
  }

  #hello(): Hello {
    const { meta, acked, epoch } = this.#backlog;
    const { task: _task, url: _url, ...run } = meta;
    return { type: 'hello', ...run, epoch, ackedSeq: acked.seq };
  }

  #receive(message: RelayMessage): void {
    if (message.type === 'cancel') this.#options.onCancel(message.reason);
    else if (message.type === 'drain') this.#line.restAfter(message.retryAfterMs);
    else if (message.type === 'ready') {
      if (this.#windowBytes > 0) this.#line.fail('it said ready twice');
      else void this.#ready(message);
    } else if (!this.connected) this.#line.fail(`it said ${message.type} before ready`);
    else if (message.nextSeq > this.#flight.sent.seq) this.#line.fail(`it said ${message.type} of what was not sent`);
    else if (message.type === 'ack') this.#acked(message.nextSeq);
    else if (message.type === 'refused') this.#refused(message);
    else this.#ended(message);
  }

  async #ready(ready: Extract<RelayMessage, { type: 'ready' }>): Promise<void> {
    const { connection } = this.#line;
    const { nextSeq, digest, epoch } = ready;
    this.#windowBytes = Math.max(1, ready.windowBytes);
    try {
      const chain = this.#flight.find(nextSeq) ?? (await this.#backlog.chainAt(nextSeq));
      if (connection !== this.#line.connection) return;
      const told = { ...EMPTY_CHAIN, seq: nextSeq, digest };
      if (chain === 'forgotten') await this.#resume(told, epoch);
      else if (chain?.digest === digest) await this.#resume(chain, epoch);
      else if (nextSeq > this.#backlog.nextSeq && this.#options.adopts) {
        await this.#backlog.adopt(told);
        await this.#resume(told, epoch);
      } else if (this.#backlog.damaged) await this.#resume(told, epoch);
      else await this.#fork(epoch);
    } catch (error) {
      if (connection === this.#line.connection) this.#line.fail((error as Error).message);
    }
  }

  async #resume(chain: Chain, epoch: string): Promise<void> {
    const { connection } = this.#line;
    this.#flight = new Flight(chain);
    this.#endAgain = false;
    if (chain.seq < this.#backlog.acked.seq || this.#backlog.damaged) {
      await this.#backlog.rewind(chain, epoch);
      if (connection !== this.#line.connection) return;
    } else {
      this.#backlog.epoch = epoch;
      this.#backlog.setAcked(chain);
      this.#backlog.resend(chain.seq);
    }
    this.connected = this.reached = true;
    this.#idleTicks = 0;
    this.#line.ready();
    // An agent with something to say has succeeded when the relay has taken some of it.
    if (this.#backlog.acked.seq === this.#backlog.nextSeq) this.#line.worked();
    this.pump();
    this.onChange();
  }

  async #fork(epoch: string): Promise<void> {
    const { run } = this.#backlog.meta;
    if (this.#backlog.epoch !== undefined && this.#backlog.epoch !== epoch)
      await this.#backlog.rewind(EMPTY_CHAIN, epoch);
    await this.#backlog.fork(newUlid(this.#options.now()));
    this.#options.onWarning(
      `the relay has other records of run ${run} than this spool: another agent has written it (was the spool copied?). ` +
        `The log goes on as run ${this.#backlog.meta.run}`,
    );
    if (this.#disposed) return;
    this.#forget();
    this.#flight = new Flight(this.#backlog.acked);
    this.#line.redial();
  }

  #acked(nextSeq: number): void {
    if (this.#flight.ack(nextSeq)) {
      this.#succeed();
    } else if (this.#endSent) {
      // Its answer to `end`: something is missing.
      this.#endAgain = true;
      this.#resend(this.#flight.acked.seq);
    }
    this.pump();
  }

  #succeed(): void {
    this.#refusals = 0;
    this.progress++;
    this.#idleTicks = 0;
    this.#line.worked();
    this.#backlog.setAcked(this.#flight.acked);
    this.onChange();
  }

  #refused({ nextSeq, reason, message }: Extract<RelayMessage, { type: 'refused' }>): void {
    if (++this.#refusals > MAX_REFUSALS) {
      this.#line.fail(`it refuses what it gets: ${message}`);
      return;
    }
    this.#endAgain = this.#endSent;
    if (!this.#resend(nextSeq)) {
      this.#line.fail(`it asks for line ${nextSeq}, within a record: ${message}`);
    } else if (reason === 'invalid' && this.#invalidSeq === nextSeq) {
      this.#options.onWarning(`the relay refuses a chunk for good (${message}); a gap goes in its place`);
      const { connection } = this.#line;
      this.#backlog.reject(nextSeq).catch((error: unknown) => {
        if (connection === this.#line.connection) this.#line.fail((error as Error).message);
      });
    } else {
      this.#invalidSeq = reason === 'invalid' ? nextSeq : -1;
      this.pump();
    }
  }

  #resend(seq: number): boolean {
    if (!this.#flight.rewind(seq)) return false;
    this.#held = undefined;
    this.#endSent = false;
    this.#backlog.resend(seq);
    return true;
  }

  #sendEnd(connection: Connection): void {
    const { end } = this.#backlog;
    if (!end || (this.#endAgain && this.#flight.bytes > 0)) return;
    const { seq, digest, lines, bytes } = this.#flight.sent;
    connection.send(JSON.stringify({ type: 'end', ...end, nextSeq: seq, lines, bytes, digest }));
    this.#endSent = true;
    this.#idleTicks = 0;
  }

  #ended({ type, nextSeq }: Extract<RelayMessage, { type: 'verified' | 'unverified' }>): void {
    if (!this.#endSent || nextSeq !== this.#backlog.nextSeq) {
      this.#line.fail(`it said ${type} of ${nextSeq} records, there are ${this.#backlog.nextSeq}`);
      return;
    }
    this.outcome = type;
    this.#flight.ack(nextSeq);
    this.#succeed();
    this.#line.hangUp();
    this.#forget();
    this.onChange();
  }

  /** Every few seconds: says how far the run is, and gives up a relay that takes nothing. */
  #tick(): void {
    if (!this.connected) {
      // Neither refused nor let in.
      this.#idleTicks = this.#line.connection ? this.#idleTicks + 1 : 0;
      if (this.#idleTicks >= STUCK_TICKS) this.#line.fail('it does not say ready');
      return;
    }
    const { nextSeq } = this.#backlog;
    if (nextSeq !== this.#reportedSeq) this.#line.connection?.send(JSON.stringify({ type: 'progress', nextSeq }));
    this.#reportedSeq = nextSeq;
    this.#idleTicks = this.#flight.bytes > 0 || this.#endSent ? this.#idleTicks + 1 : 0;
    if (this.#idleTicks >= STUCK_TICKS)
      this.#line.fail(`it has acknowledged nothing for ${(STUCK_TICKS * TICK_MS) / 1000} s`);
    else this.pump();
  }

  /** What was true of a connection that is no more. */
  #forget(): void {
    this.connected = false;
    this.#windowBytes = 0;
    this.#held = undefined;
    this.#endSent = false;
    this.#idleTicks = 0;
  }
}

export interface UplinkOptions {
  backlog: Backlog;
  backoff: Backoff;
  /** What the relays are called in messages, the first choice first. */
  relays: readonly string[];
  /** Rounds in a row, over all relays, that may fail; without it they go on for ever. */
  maxAttempts?: number;
  /** The writer is dead, so a relay that has more than we do has it all from that writer, whose spool had failed. */
  adopts?: boolean;
  /** Says when records may leave, where they may leave only so fast. */
  pacer?: Pacer;
  onCancel: (reason: string) => void;
  onWarning: (text: string) => void;
  /** ms since 1970 */
  now: () => number;
}

/** What the socket may hold of what we sent. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
const TICK_MS = 5000;
/** A store that takes an append this long would have closed the connection. */
const STUCK_TICKS = 12;
/** Refusals without an acknowledgement between them. */
const MAX_REFUSALS = 8;
