import { ChunkError, CODEC_GAP, type ChunkHeader } from '../shared/chunk.ts';
import type { ErrorCode } from '../shared/errors.ts';
import type { End, Progress } from '../shared/agent-message.ts';
import type { RelayMessage } from '../shared/relay-message.ts';
import type { AckQueue } from './ingest-acks.ts';
import { checkFrame, storedRecord, unpinned } from './ingest-frame.ts';
import type { AppendOutcome, EndOutcome, OpenedRun, Store, Stored } from './store/store.ts';
import type { CloseReason } from './web-socket.ts';
import type { Window } from './window.ts';

/**
 * One agent writes one run: its chunks go to the store in the order in which they came, many under way at once, and
 * what the store has committed is acknowledged. The store decides what becomes of a chunk; here it is said to the agent.
 *
 * A refusal waits until all before it is settled, so that its `nextSeq` is the truth. Then a ping leaves just ahead of
 * it: what arrives before the pong was under way before the agent heard of it, and is dropped; what arrives after it
 * is judged anew, so that a chunk that is wrong again is refused again.
 */
export class RunWriter {
  readonly #run: RunIdentity;
  readonly #link: AgentLink;
  readonly #services: RunServices;
  /** One past what the store is known to have. */
  #nextSeq: number;
  #owesAck = false;
  /** Chunks whose append has not settled. */
  #appending = 0;
  /** When each call into the store that has not settled began, the oldest first (monotonic ms). */
  readonly #callsSince: number[] = [];
  #onDrained: (() => void)[] = [];
  #ending = false;
  /** Why nothing is appended any more until the agent has been told. */
  #refusal: Refusal | undefined;
  /** The mark of the refusal whose pong has not come; frames are dropped until then. */
  #awaitedMark: number | undefined;
  #marks = 0;
  #reportedSeq: number | undefined;
  #seenAt: number;
  #noting = false;

  constructor(run: RunIdentity, opened: OpenedRun, parts: { link: AgentLink; services: RunServices }) {
    this.#run = run;
    this.#link = parts.link;
    this.#services = parts.services;
    this.#nextSeq = opened.nextSeq;
    this.#seenAt = parts.services.now();
  }

  /** Resolves when the store has answered all that was asked of it; acks that are owed have not left by then. */
  drain(): Promise<void> {
    if (this.#callsSince.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onDrained.push(resolve));
  }

  /** A binary frame came. */
  frame(bytes: Buffer): void {
    if (this.#refusal !== undefined) return;
    let header: ChunkHeader;
    try {
      header = checkFrame(bytes, this.#run.run);
    } catch (error) {
      if (!(error instanceof ChunkError)) this.#failed(error);
      else if (this.#awaitedMark === undefined) this.#refuse({ reason: 'invalid', message: error.message });
      return;
    }
    if (this.#awaitedMark !== undefined) {
      if (header.firstSeq > this.#nextSeq) return;
      this.#awaitedMark = undefined;
    }
    if (header.codec !== CODEC_GAP) this.#services.count(header.count, header.textBytes);
    void this.#append(header, unpinned(bytes));
  }

  /** The agent says that the run is over. */
  end(message: End): void {
    if (this.#ending) {
      this.#link.close('INVALID_MESSAGE_FORMAT', 'bad message: a second end before the first was answered');
      return;
    }
    void this.#end(message);
  }

  /** How far the agent is. Noted with the next sweep. */
  progress(message: Progress): void {
    this.#reportedSeq = message.nextSeq;
  }

  /** The agent answered the ping that bore `mark`. */
  pong(mark: string): void {
    if (mark === String(this.#awaitedMark)) this.#awaitedMark = undefined;
  }

  /** Once a second: calls that the store does not answer, and signs of life. */
  sweep(lives: boolean): void {
    const [since] = this.#callsSince;
    if (this.#callsSince.length > 0 && this.#services.clock() - since >= STORE_PATIENCE_MS) {
      this.#link.close('DATABASE_ERROR', `The store has not answered for ${STORE_PATIENCE_MS / 1000} s.`);
      return;
    }
    const now = this.#services.now();
    const due = lives && now - this.#seenAt >= this.#services.seenEveryMs;
    if ((due || this.#reportedSeq !== undefined) && !this.#noting) void this.#seen(now);
  }

  /** Says what has been committed since the last ack. */
  sendAck(): void {
    if (!this.#owesAck) return;
    this.#owesAck = false;
    this.#link.send({ type: 'ack', nextSeq: this.#nextSeq });
  }

  async #append(header: ChunkHeader, bytes: Buffer): Promise<void> {
    const { store, window } = this.#services;
    const { task, run, fence } = this.#run;
    const size = bytes.length;
    const since = this.#services.clock();
    this.#callsSince.push(since);
    this.#appending++;
    window.take(size);
    try {
      const outcome = await store.append({ task, run, fence, bytes, now: this.#services.now() });
      this.#services.onAppended(this.#services.clock() - since);
      this.#appended(outcome, header, bytes);
    } catch (error) {
      this.#failed(error);
    } finally {
      window.release(size);
      this.#appending--;
      this.#appendSettled();
      this.#callSettled();
    }
  }

  #appended(outcome: AppendOutcome, header: ChunkHeader, bytes: Buffer): void {
    switch (outcome.outcome) {
      case 'stored':
        // Before the ack, and before the store wakes readers, who then find it there.
        this.#services.stored(storedRecord(this.#run.task, header, bytes, outcome));
        this.#seenAt = this.#services.now();
        this.#owesAck = true;
        break;
      case 'duplicate':
        this.#owesAck = true;
        break;
      case 'expected':
        this.#nextSeq = outcome.nextSeq;
        this.#refuse({ reason: 'expected', message: `line ${outcome.nextSeq} is expected, ${header.firstSeq} came` });
        return;
      case 'ended':
        this.#link.close('FENCED', `The run has ended with ${outcome.nextSeq} lines.`);
        return;
      case 'fenced':
        this.#link.close('FENCED', 'Another agent writes this run.');
        return;
    }
    this.#nextSeq = outcome.nextSeq;
  }

  #appendSettled(): void {
    if (this.#refusal !== undefined && this.#appending === 0) this.#sendRefusal(this.#refusal);
    if (!this.#owesAck) return;
    const { acks, window } = this.#services;
    // Beyond half of its window an agent may soon wait for us.
    const busy = this.#appending > 0 && window.used < window.bytes / 2;
    acks.due(this, busy ? 'soon' : 'now');
  }

  #refuse(refusal: Refusal): void {
    this.#refusal ??= refusal;
    if (this.#appending === 0) this.#sendRefusal(this.#refusal);
  }

  #sendRefusal(refusal: Refusal): void {
    this.#refusal = undefined;
    this.sendAck();
    this.#awaitedMark = ++this.#marks;
    this.#link.mark(String(this.#awaitedMark));
    this.#link.send({ type: 'refused', nextSeq: this.#nextSeq, ...refusal });
  }

  async #end(message: End): Promise<void> {
    const { store, now, clock } = this.#services;
    const { type: _, ...result } = message;
    this.#ending = true;
    this.#callsSince.push(clock());
    try {
      this.#ended(await store.end({ ...this.#run, ...result, now: now() }));
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#ending = false;
      this.#callSettled();
    }
  }

  #ended(outcome: EndOutcome): void {
    if (outcome.outcome === 'fenced') {
      this.#link.close('FENCED', 'Another agent writes this run.');
      return;
    }
    this.#owesAck = false;
    this.#nextSeq = outcome.nextSeq;
    const { nextSeq } = outcome;
    if (outcome.outcome === 'verified') this.#link.send({ type: 'verified', nextSeq });
    else if (outcome.outcome === 'unverified') {
      this.#services.onUnverified(this.#run);
      this.#link.send({ type: 'unverified', nextSeq, digest: outcome.digest });
    } else this.#link.send({ type: 'ack', nextSeq });
  }

  async #seen(now: number): Promise<void> {
    const nextSeq = this.#reportedSeq;
    this.#reportedSeq = undefined;
    this.#seenAt = now;
    this.#noting = true;
    try {
      await this.#services.store.seen({ ...this.#run, nextSeq, now });
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#noting = false;
    }
  }

  #callSettled(): void {
    this.#callsSince.shift();
    if (this.#callsSince.length > 0) return;
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }

  #failed(error: unknown): void {
    const { code, message } = this.#services.storeFailed(error);
    this.#link.close(code, message);
  }
}

export interface RunIdentity {
  task: string;
  run: string;
  fence: number;
}

/** The socket's side of a run. Calls after the connection is closed do nothing. */
export interface AgentLink {
  send(message: RelayMessage): void;
  /** Sends a ping that bears `mark`. */
  mark(mark: string): void;
  close(code: ErrorCode, message: string): void;
}

export interface RunServices {
  store: Pick<Store, 'append' | 'end' | 'seen'>;
  window: Window;
  acks: AckQueue;
  /** Something was stored and is durable. */
  stored: (stored: Stored) => void;
  /** Lines came, in a chunk of so many bytes of text. */
  count: (lines: number, bytes: number) => void;
  /** An append took so many ms to be durable. */
  onAppended: (ms: number) => void;
  /** A run has ended with other lines in the store than its agent has sent. */
  onUnverified: (run: RunIdentity) => void;
  /** A call into the store rejected; answers what to tell the agent. */
  storeFailed: (error: unknown) => CloseReason;
  seenEveryMs: number;
  /** ms since 1970 */
  now: () => number;
  /** monotonic ms */
  clock: () => number;
}

type Refusal = Pick<Extract<RelayMessage, { type: 'refused' }>, 'reason' | 'message'>;

/** A store that takes longer is no store to wait for: the agent keeps its lines and comes back. */
export const STORE_PATIENCE_MS = 10_000;
