import { Backoff } from './backoff.ts';
import { Backlog } from './delivery-backlog.ts';
import { Drain } from './delivery-drain.ts';
import { Dialer, publicUrl, type DialOptions } from './dialer.ts';
import type { Delivery, Outbox, OutboxFigures, RunResult } from './outbox.ts';
import type { Pacer } from './pacer.ts';
import type { SpoolMeta } from './spool-contract.ts';
import { spoolPath } from './spool-folder.ts';
import { Spool } from './spool.ts';
import { Uplink } from './uplink.ts';

/**
 * Takes a run's chunks through the spool to the relay. Begins at once to load the WebSocket and to connect. Nothing that
 * goes wrong here harms the script: it is said through `onWarning`, and in what `end` answers.
 */
export function startDelivery(options: DeliveryOptions): RunOutbox {
  return new RunOutbox(options);
}

export class RunOutbox implements Outbox {
  onChange: () => void = () => undefined;
  readonly #options: DeliveryOptions;
  readonly #backlog: Backlog;
  readonly #uplink: Uplink;
  #drain: Drain | undefined;
  #bringsEarlier = false;
  #connections = 0;
  #cuts = 0;
  #wasIdle = false;
  #wasFull = false;
  #closed: Promise<void> | undefined;

  constructor(options: DeliveryOptions) {
    const { spoolDir, run, task } = options;
    this.#options = options;
    this.#backlog = new Backlog({
      ...options,
      spool: new Spool(),
      path: spoolPath(spoolDir, run, task),
      meta: spoolMeta(options),
    });
    this.#uplink = createUplink(options, this.#backlog, { onCancel: options.onCancel });
    this.#uplink.waits = options.earlier !== undefined;
    this.#backlog.onChange = this.#uplink.onChange = () => this.#update();
    this.#backlog.start();
    startUplink(options, this.#uplink, task).catch((error: unknown) => this.#uplink.giveUp(String(error)));
  }

  get idle(): boolean {
    return this.#uplink.idle;
  }

  get full(): boolean {
    return this.#backlog.full;
  }

  get unsentLines(): number {
    return this.#backlog.unsentLines;
  }

  get figures(): OutboxFigures {
    const { connected, problem } = this.#uplink;
    const { unsentLines, missing, memoryBytes, spoolProblem } = this.#backlog;
    return {
      disabled: false,
      connected,
      connections: this.#connections,
      cuts: this.#cuts,
      problem,
      unsentLines,
      missingLines: missing,
      memoryBytes,
      // A record that is under way, or a spool that is not begun yet, is no trouble.
      spooled: spoolProblem === undefined,
      spoolProblem,
    };
  }

  put(chunk: Buffer): void {
    this.#backlog.put(chunk);
    this.#wasIdle = false;
    // Not at once: capture is in the middle of something.
    if (this.full !== this.#wasFull) queueMicrotask(() => this.#tell());
  }

  async end(result: RunResult, signal: AbortSignal): Promise<Delivery> {
    const { exitCode, signal: by, reason, endedAt } = result;
    const { drainTimeoutMs } = this.#options;
    this.#backlog.setEnd({ exitCode, signal: by, reason, endedAt });
    this.#drain = new Drain(
      () => ({
        over: this.#uplink.outcome !== undefined || this.#uplink.stopped,
        reached: this.#uplink.reached,
        progress: this.#uplink.progress,
      }),
      drainTimeoutMs === undefined ? ADAPTIVE_DRAIN : { totalMs: drainTimeoutMs },
      signal,
    );
    await this.#drain.over;
    await this.#close();
    return this.#delivery();
  }

  /** Ends everything, whatever is under way. The spool keeps what was not delivered. */
  async dispose(): Promise<void> {
    await this.#close();
  }

  #update(): void {
    if (this.#uplink.connected && this.#connections === this.#cuts) this.#connections++;
    else if (!this.#uplink.connected && this.#connections > this.#cuts) this.#cuts++;
    if (this.#uplink.connected && this.#uplink.waits) void this.#bringEarlier();
    // No relay takes anything soon.
    if (this.#uplink.problem !== undefined) this.#backlog.begin();
    this.#uplink.pump();
    this.#drain?.update();
    this.#tell();
  }

  /** Once the relay is there: lines get their numbers in the order in which they arrive. */
  async #bringEarlier(): Promise<void> {
    const { earlier, onWarning } = this.#options;
    if (this.#bringsEarlier) return;
    this.#bringsEarlier = true;
    try {
      await earlier?.(() => {
        this.#uplink.progress++;
        this.#drain?.update();
      });
    } catch (error) {
      onWarning(`what earlier runs left could not be sent: ${(error as Error).message}`);
    }
    this.#uplink.waits = false;
    this.#update();
  }

  #tell(): void {
    const { idle, full } = this;
    const changed = (idle && !this.#wasIdle) || full !== this.#wasFull;
    this.#wasIdle = idle;
    this.#wasFull = full;
    if (changed) this.onChange();
  }

  #close(): Promise<void> {
    this.#closed ??= (async () => {
      const { outcome } = this.#uplink;
      this.#uplink.dispose();
      await closeBacklog(this.#backlog, outcome, this.#options.onWarning);
    })();
    return this.#closed;
  }

  #delivery(): Delivery {
    const { outcome, problem } = this.#uplink;
    const { spooled, unsentLines, missing, spoolProblem } = this.#backlog;
    if (outcome) return { outcome, unsentLines: 0, missingLines: missing };
    return {
      outcome: spooled ? 'spooled' : 'lost',
      unsentLines,
      missingLines: missing,
      problem: [problem ?? 'the relay did not take everything in time', spooled ? undefined : spoolProblem]
        .filter((sentence) => sentence !== undefined)
        .join('; '),
    };
  }
}

/** Closes a backlog as its outcome asks. What goes wrong is said, since nothing more can be done. */
export async function closeBacklog(
  backlog: Backlog,
  outcome: Uplink['outcome'],
  warn: (text: string) => void,
): Promise<void> {
  try {
    await backlog.close(outcome === 'verified' ? 'destroy' : (outcome ?? 'keep'));
  } catch (error) {
    warn(`the spool could not be closed: ${(error as Error).message}`);
  }
}

/** An uplink that is not started. */
export function createUplink(
  options: LinkOptions,
  backlog: Backlog,
  more: { adopts?: boolean; onCancel: (reason: string) => void },
): Uplink {
  return new Uplink({
    ...more,
    backlog,
    backoff: new Backoff({ minMs: options.reconnectMinMs, maxMs: options.reconnectMaxMs }),
    relays: options.websocketUrls.map(publicUrl),
    maxAttempts: options.maxReconnectAttempts,
    onWarning: options.onWarning,
    pacer: options.pacer,
    now: options.now,
  });
}

/** Loads what a connection needs, and connects. */
export async function startUplink(options: LinkOptions, uplink: Uplink, task: string): Promise<void> {
  const { dialer = new Dialer(options), websocketUrls } = options;
  await dialer.load();
  uplink.start((relay, events) => dialer.connect(websocketUrls[relay], task, events));
}

function spoolMeta(options: DeliveryOptions): SpoolMeta {
  const { task, run, websocketUrls, pipelineId, workerId, taskName, labels, command, agentVersion, startedAt } =
    options;
  const url = recordedUrls(websocketUrls);
  return { task, run, url, pipelineId, workerId, taskName, labels, command, agentVersion, startedAt };
}

/** Addresses as the spool keeps them. No address holds a comma. */
function recordedUrls(urls: readonly string[]): string {
  return urls.map(publicUrl).join(',');
}

export interface LinkOptions extends DialOptions {
  /** Where the relays are, the first choice first; the task id is appended. */
  websocketUrls: readonly string[];
  /** One that knows the ways to the relays already. */
  dialer?: Dialer;
  reconnectMinMs: number;
  reconnectMaxMs: number;
  /** Rounds in a row, over all relays, that may fail; for ever if absent. */
  maxReconnectAttempts?: number;
  /** Where lines may leave only so fast. */
  pacer?: Pacer;
  /** Something that the user should know, in a sentence. */
  onWarning: (text: string) => void;
  /** ms since 1970 */
  now: () => number;
}

export interface DeliveryOptions extends LinkOptions, Omit<SpoolMeta, 'url'> {
  spoolDir: string;
  spoolLimitBytes: number;
  /** See `Backlog`. */
  spoolAfterMs?: number;
  overflow: 'drop-oldest' | 'block';
  memoryLimitBytes: number;
  bufferLines?: number;
  /** After the end, all in all. Absent: as long as acks come, see ADAPTIVE_DRAIN. */
  drainTimeoutMs?: number;
  /** Brings what earlier runs of the task left, before anything of this one is sent; says when it gets on. */
  earlier?: (onProgress: () => void) => Promise<unknown>;
  /** The relay asks that the script be stopped. */
  onCancel: (reason: string) => void;
}

/** A relay that takes something is waited for; one that was never there is not. */
const ADAPTIVE_DRAIN = { idleMs: 10_000, unreachedMs: 1000 };
