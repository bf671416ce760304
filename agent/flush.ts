import { statSync } from 'node:fs';
import { formatDuration } from '../shared/duration.ts';
import type { AgentConfig } from '../shared/options/agent-options.ts';
import { Backlog } from './delivery-backlog.ts';
import { closeBacklog, createUplink, startUplink, type LinkOptions } from './delivery.ts';
import { Drain } from './delivery-drain.ts';
import { Dialer, publicUrl, unverifiedWarning } from './dialer.ts';
import { linkOptions, type LinkConfig } from './link-options.ts';
import { UNBORN } from './spool-contract.ts';
import { listSpools, runOf } from './spool-folder.ts';
import { Spool, SpoolError } from './spool.ts';

/**
 * `keruta-agent flush`: brings to the relay what dead agents left in the spool folder, and says so on stderr. A run
 * whose agent lives is left alone. Resolves with the exit code: 0 everything is delivered, 1 something remains.
 */
export async function flush(config: FlushConfig): Promise<number> {
  const warn = (text: string): void => console.error(`keruta-agent: ${text}`);
  const dialing = linkOptions(config, process.env);
  const options: FlushOptions = {
    ...dialing,
    dialer: new Dialer(dialing),
    websocketUrls: config.websocketUrls,
    spoolDir: config.spoolDir,
    spoolMaxAgeMs: config.spoolMaxAgeMs,
    drainTimeoutMs: config.drainTimeoutMs,
    onWarning: (text) => config.verbose && warn(text),
    onRun: (run) => warn(sentenceOf(run)),
    onProgress: process.stderr.isTTY ? showProgress : undefined,
  };
  const unverified = unverifiedWarning(config, config.websocketUrls ?? []);
  if (unverified !== undefined) warn(unverified);
  const summary = await flushSpools(options, listSpools(config.spoolDir, config.taskId));
  if (summary.delivered + summary.remaining + summary.alive + summary.expired === 0)
    warn(`nothing to flush in ${config.spoolDir}`);
  if (summary.remaining === 0) return 0;
  warn(`${summary.remaining} of the runs remain in ${config.spoolDir}; run flush again when the cause is removed`);
  return 1;
}

/**
 * Brings what earlier agents of `task` left, before a new run of it begins, which waits: so the first that the relay
 * leaves unanswered is the last. Never rejects: what can't be delivered stays where it is.
 */
export async function flushTask(options: FlushOptions, task: string): Promise<FlushSummary> {
  try {
    const paths = listSpools(options.spoolDir, task);
    return await flushSpools(
      options,
      paths.filter((path) => runOf(path) !== options.exceptRun),
      { whileAnswered: true },
    );
  } catch (error) {
    options.onWarning(`the spool folder can't be read: ${(error as Error).message}`);
    return { delivered: 0, remaining: 0, alive: 0, expired: 0 };
  }
}

async function flushSpools(
  options: FlushOptions,
  paths: string[],
  { whileAnswered = false } = {},
): Promise<FlushSummary> {
  const summary: FlushSummary = { delivered: 0, remaining: 0, alive: 0, expired: 0 };
  // One after the other, the oldest first: a task's runs then arrive in their order.
  for (const path of paths) {
    const run = await flushSpool(options, path);
    if (run === undefined) continue;
    summary[run.state]++;
    options.onRun?.(run);
    if (run.state === 'expired') options.onExpired?.(sentenceOf(run));
    if (whileAnswered && run.unanswered === true) break;
  }
  return summary;
}

/** Undefined for one that its agent did not live to make: nothing was in it. */
async function flushSpool(options: FlushOptions, path: string): Promise<FlushedRun | undefined> {
  const spool = new Spool();
  const writtenAt = lastWritten(path);
  let backlog: Backlog;
  try {
    // Nothing is added but the end, so nothing must be dropped.
    const limits = { spoolLimitBytes: Infinity, memoryLimitBytes: Infinity, overflow: 'block' as const };
    backlog = await Backlog.resume({ ...limits, spool, path, onWarning: options.onWarning, now: options.now });
  } catch (error) {
    await spool.terminate();
    const { code, message } = error as SpoolError;
    if (code === UNBORN) return undefined;
    return {
      path,
      state: code === 'LOCKED' ? 'alive' : 'remaining',
      lines: 0,
      unsentLines: 0,
      missingLines: 0,
      problem: message,
    };
  }
  if (isExpired(options, writtenAt)) return expire(options, { backlog, path, writtenAt });
  if (backlog.unverified) {
    await closeBacklog(backlog, undefined, options.onWarning);
    const { meta, missing: missingLines } = backlog;
    return {
      path,
      task: meta.task,
      run: meta.run,
      state: 'remaining',
      lines: 0,
      unsentLines: 0,
      missingLines,
      problem: unverified(path),
    };
  }
  return deliver(options, { backlog, path, writtenAt });
}

function isExpired({ spoolMaxAgeMs = Infinity, now }: FlushOptions, writtenAt: number): boolean {
  return now() - writtenAt > spoolMaxAgeMs;
}

/** The spool's lock is ours, so no agent writes it. */
async function expire(options: FlushOptions, { backlog, path }: OpenedSpool): Promise<FlushedRun> {
  const { meta, unsentLines, missing: missingLines } = backlog;
  const run = { path, task: meta.task, run: meta.run, lines: 0, unsentLines, missingLines };
  try {
    await backlog.close('destroy');
  } catch (error) {
    return { ...run, state: 'remaining', problem: `it is too old, and can't be removed: ${(error as Error).message}` };
  }
  const age = formatDuration(options.spoolMaxAgeMs ?? 0);
  return { ...run, state: 'expired', problem: `nothing was written to its spool for more than ${age} (spool.maxAge)` };
}

async function deliver(options: FlushOptions, { backlog, path, writtenAt }: OpenedSpool): Promise<FlushedRun> {
  const { task } = backlog.meta;
  const link = { ...options, websocketUrls: options.websocketUrls ?? backlog.meta.url.split(',') };
  const [before, missingBefore] = [backlog.unsentLines, backlog.missing];
  /** Of those before, what can't be read. */
  let lost: number | undefined;
  // A run that the agent asked to cancel is over anyway.
  const uplink = createUplink(link, backlog, { adopts: true, onCancel: () => undefined });
  const drain = new Drain(
    () => ({
      over: uplink.outcome !== undefined || uplink.stopped,
      reached: uplink.reached,
      progress: uplink.progress,
    }),
    { idleMs: options.drainTimeoutMs ?? IDLE_MS, unreachedMs: Math.min(options.connectTimeoutMs, IDLE_MS) },
  );
  let { progress } = uplink;
  backlog.onChange = uplink.onChange = () => {
    if (uplink.connected) lost ??= Math.max(0, backlog.missing - missingBefore);
    if (uplink.connected && !backlog.end) {
      // Its agent died: lines were perhaps in its pipes and buffers. Not said before the relay said what it has.
      const end = { exitCode: null, signal: null, reason: 'agent-died' as const, endedAt: writtenAt };
      backlog.setEnd(end, { reason: 'agent-died', count: 1 });
    }
    uplink.pump();
    drain.update();
    if (uplink.progress === progress) return;
    progress = uplink.progress;
    options.onProgress?.({ task, lines: before - backlog.unsentLines, of: before });
  };
  startUplink(link, uplink, task).catch((error: unknown) => uplink.giveUp(String(error)));
  await drain.over;
  const { outcome, problem } = uplink;
  uplink.dispose();
  await closeBacklog(backlog, outcome, options.onWarning);
  const { meta, unsentLines, missing: missingLines, unreadableLines } = backlog;
  const lines = Math.max(0, before - unsentLines - (lost ?? 0));
  const run = { path, task, run: meta.run, lines, unsentLines, missingLines, unreadableLines };
  if (outcome === 'verified') return { ...run, state: 'delivered' };
  if (outcome === 'unverified') return { ...run, state: 'remaining', problem: unverified(path) };
  return {
    ...run,
    state: 'remaining',
    unanswered: !uplink.stopped,
    problem: problem ?? `the relay at ${link.websocketUrls.map(publicUrl).join(' or ')} did not take everything`,
  };
}

/** When the agent last wrote, ms since 1970; opening the spool would change it. */
function lastWritten(path: string): number {
  const times = [path, `${path}-wal`].map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return Math.floor(Math.max(...times));
}

function sentenceOf(run: FlushedRun): string {
  const name = run.task === undefined ? run.path : `${run.task} (run ${run.run})`;
  if (run.state === 'alive') return `${name}: its agent is still at work`;
  const unreadable = run.unreadableLines ? ` (its spool is damaged: ${count(run.unreadableLines)} can't be read)` : '';
  const missing = run.missingLines > 0 ? `, ${count(run.missingLines)} missing${unreadable}` : '';
  if (run.state === 'expired') return `${name}: removed, ${count(run.unsentLines)} unsent${missing}: ${run.problem}`;
  if (run.state === 'delivered') return `${name}: ${count(run.lines)} delivered${missing}; the relay has it all`;
  return `${name}: ${count(run.lines)} delivered, ${count(run.unsentLines)} remain in ${run.path}${missing}: ${run.problem}`;
}

function unverified(path: string): string {
  return `the relay has the run, but other records than were sent, and shows it as incomplete; delete ${path} when it is of no more use`;
}

function count(lines: number): string {
  return `${lines.toLocaleString('en')} ${lines === 1 ? 'line' : 'lines'}`;
}

function showProgress({ task, lines, of }: FlushProgress): void {
  process.stderr.write(
    `\r${task}: ${lines.toLocaleString('en')} of ${count(of)}\u001b[K${lines === of ? '\r\u001b[K' : ''}`,
  );
}

/** What `flush` takes of the agent's options (shared/options). */
export type FlushConfig = LinkConfig &
  Pick<AgentConfig, 'spoolDir' | 'spoolMaxAgeMs' | 'taskId' | 'drainTimeoutMs' | 'verbose'>;

export interface FlushOptions extends Omit<LinkOptions, 'websocketUrls'> {
  spoolDir: string;
  websocketUrls?: readonly string[];
  /** A run that is no earlier one: it has only just begun. */
  exceptRun?: string;
  /** Without progress for this long, the rest stays. */
  drainTimeoutMs?: number;
  /** Spools to which nothing was written for longer are removed instead of sent; none if absent. */
  spoolMaxAgeMs?: number;
  onRun?: (run: FlushedRun) => void;
  /** One was removed unsent, in a sentence. */
  onExpired?: (text: string) => void;
  /** The relay has acknowledged something. */
  onProgress?: (progress: FlushProgress) => void;
}

export interface FlushSummary {
  delivered: number;
  remaining: number;
  /** Left alone. */
  alive: number;
  /** Too old: removed, and not sent. */
  expired: number;
}

export interface FlushedRun {
  state: keyof FlushSummary;
  path: string;
  task?: string;
  run?: string;
  /** Lines that the relay has acknowledged now. */
  lines: number;
  unsentLines: number;
  missingLines: number;
  /** … of which these could not be read any more. */
  unreadableLines?: number;
  problem?: string;
  /** It remains because no relay took it in time, and so would not take others. */
  unanswered?: boolean;
}

interface FlushProgress {
  task: string;
  lines: number;
  of: number;
}

interface OpenedSpool {
  backlog: Backlog;
  path: string;
  writtenAt: number;
}

const IDLE_MS = 10_000;
