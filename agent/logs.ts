import { once } from 'node:events';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { createClient, type Client, type ClientOptions } from '../client/client.ts';
import { ClientError } from '../client/errors.ts';
import type { TaskEvent } from '../client/events.ts';
import { tailGroups, type TailOptions } from '../client/tail.ts';
import { parseDuration } from '../shared/duration.ts';
import type { EndMessage } from '../shared/viewer-messages.ts';
import type { LogsFlags } from './cli-flags.ts';
import { Dialer, unverifiedWarning } from './dialer.ts';
import { dialOptions, type DialConfig } from './link-options.ts';
import { LogPrinter } from './log-printer.ts';
import { viewerConnect } from './logs-socket.ts';

/** What `logs` needs to know of the relay. */
export type LogsConfig = DialConfig & { websocketUrls: readonly string[] };

/**
 * Prints a task's log as the relay has it: all lines to stdout, in their order (so that a pipe gets all of them), notes
 * about what is missing and about the connection to stderr. Resolves to the exit code: 0, with `exitCode` that of the
 * task once it has ended, 1 if the relay refuses or (unless following) can't be reached, 2 for a bad flag.
 */
export function logs(config: LogsConfig, task: string, flags: LogsFlags): Promise<number> {
  return showLog({ config, task, flags, stdout: process.stdout, stderr: process.stderr });
}

export interface ShowLog {
  config: LogsConfig;
  task: string;
  flags: LogsFlags;
  stdout: Writable & { isTTY?: boolean };
  stderr: Writable;
  now?: () => number;
  backoff?: ClientOptions['backoff'];
}

/** As `logs`, into any streams. */
export async function showLog(options: ShowLog): Promise<number> {
  const { config, flags, stdout, stderr } = options;
  const unverified = unverifiedWarning(config, config.websocketUrls);
  if (unverified !== undefined) stderr.write(`keruta-agent: ${unverified}\n`);
  const gone = new AbortController();
  const onError = (error: NodeJS.ErrnoException): void => gone.abort(error);
  stdout.on('error', onError);
  const client = clientOf(options);
  try {
    return await follow(client, options, gone.signal);
  } catch (error) {
    // `logs t1 | head` has seen enough.
    if (gone.signal.aborted && (gone.signal.reason as NodeJS.ErrnoException).code === 'EPIPE') return 0;
    if (!(error instanceof ClientError)) throw error;
    stderr.write(`keruta-agent: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`);
    return error.code === 'INVALID_INPUT' || (error.code === 'INVALID_CURSOR' && flags.from !== undefined) ? 2 : 1;
  } finally {
    client.close();
    stdout.off('error', onError);
  }
}

async function follow(client: Client, options: ShowLog, signal: AbortSignal): Promise<number> {
  const { flags, stdout, stderr } = options;
  const printer = new LogPrinter({
    json: flags.json === true,
    timestamps: flags.timestamps === true,
    color: flags.color ?? (stdout.isTTY === true && !process.env.NO_COLOR),
  });
  const link = new LinkNotes(flags.follow === true);
  let end: EndMessage | undefined;
  for await (const events of tailGroups(client, { task: options.task }, tailOptions(options, signal))) {
    let out = '';
    for (const event of events) {
      const printed = printer.print(event);
      out += printed.out;
      const note = printed.err + link.note(event);
      if (note !== '') {
        await write(stdout, out, signal);
        out = '';
        await write(stderr, note, signal);
      }
      if (event.type === 'end') end = event;
    }
    await write(stdout, out, signal);
    if (end !== undefined && flags.follow === true) break;
  }
  await write(stdout, printer.finish(), signal);
  return flags.exitCode === true && end !== undefined ? exitCodeOf(end) : 0;
}

function clientOf({ config, task, backoff }: ShowLog): Client {
  const dialer = new Dialer(dialOptions(config, process.env));
  const { websocketUrls: urls, websocketTimeoutMs: timeoutMs } = config;
  const webSocket = viewerConnect({ urls, task, dialer, timeoutMs });
  return createClient({ url: urls[0], webSocket, ...(backoff && { backoff }) });
}

function tailOptions({ flags, now = Date.now }: ShowLog, signal: AbortSignal): TailOptions {
  const ago = flags.since === undefined ? undefined : parseDuration(flags.since);
  return {
    ...(flags.tail === undefined ? { from: flags.from ?? 'start' } : { lines: flags.tail }),
    filter: {
      ...(flags.level && { levels: flags.level }),
      ...(flags.source && { sources: flags.source }),
      ...(flags.grep !== undefined && { text: flags.grep }),
      ...(flags.regex !== undefined && { regex: flags.regex }),
      ...(flags.since !== undefined && { since: ago === undefined ? flags.since : now() - ago }),
    },
    follow: flags.follow === true,
    signal,
  };
}

/** What there is to say of the connection: nothing, unless it takes long. */
class LinkNotes {
  readonly #patient: boolean;
  #connected = false;
  #noted = false;

  constructor(patient: boolean) {
    this.#patient = patient;
  }

  note(event: TaskEvent): string {
    switch (event.type) {
      case 'subscribed': {
        const note = this.#noted ? '--- connected again ---\n' : '';
        this.#connected = true;
        this.#noted = false;
        return note;
      }
      case 'lag':
        // Who only wants to see what there is hears at once that it can't be had.
        if (!this.#patient && (!this.#connected || event.forMs > GIVE_UP_AFTER_MS))
          throw new ClientError('UNREACHABLE', event.problem, { retry: true });
        if (this.#noted || event.forMs < NOTE_AFTER_MS) return '';
        this.#noted = true;
        return `--- ${event.problem}; trying again ---\n`;
      case 'reset':
        return `--- the relay's store was replaced, lines may be missing or come again: ${event.message} ---\n`;
      default:
        return '';
    }
  }
}

/** Writes and waits until it may go on. */
async function write(stream: Writable, text: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (text === '' || stream.write(text)) return;
  await once(stream, 'drain', { signal });
}

function exitCodeOf({ exitCode, signal, status }: EndMessage): number {
  if (exitCode !== null) return exitCode;
  const number = signal === null ? undefined : constants.signals[signal as NodeJS.Signals];
  if (number !== undefined) return 128 + number;
  return status === 'succeeded' ? 0 : 1;
}

const NOTE_AFTER_MS = 2000;
const GIVE_UP_AFTER_MS = 30_000;
