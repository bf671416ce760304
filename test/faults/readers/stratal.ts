import type { Sighting } from '../contract.ts';
import { EventStream } from './events.ts';
import { Refused } from './follower.ts';
import { gapSighting, interned } from './sightings.ts';
import { talk } from './socket.ts';
import { UnnumberedFollower } from './unnumbered.ts';
import type { FollowerOptions } from './follower.ts';

export interface StratalOptions extends FollowerOptions {
  /** Absent: everything. */
  job?: string;
}

/** Stratal's WebSocket: from the start, then from behind the place that the last message named. */
export class StratalSocketReader extends UnnumberedFollower {
  readonly #job: string | undefined;
  #place = 'start';

  constructor({ job, ...options }: StratalOptions) {
    super(options);
    this.#job = job;
  }

  protected override session(signal: AbortSignal): Promise<void> {
    const query = new URLSearchParams({
      ...(this.#job !== undefined && { job_run_id: this.#job }),
      cursor: this.#place,
    });
    let confirmed = false;
    return talk(this.entrance, {
      path: `/api/v1/logs/stream/ws?${query.toString()}`,
      signal,
      message: (text) => {
        const log = JSON.parse(text) as StratalLog;
        if (confirmed) this.saw(sightingOf(log));
        confirmed = true;
        if (log.cursor !== undefined) this.#place = log.cursor;
      },
    });
  }
}

/** Stratal's event stream: from the start, then as an `EventSource` comes back. */
export class StratalEventsReader extends UnnumberedFollower {
  readonly #path: string;
  readonly #stream: EventStream;

  constructor({ job, ...options }: StratalOptions) {
    super(options);
    const query = new URLSearchParams({ ...(job !== undefined && { job_run_id: job }), from: 'start' });
    this.#path = `/api/v1/logs/stream/sse?${query.toString()}`;
    this.#stream = new EventStream(options.entrance);
  }

  protected override async session(signal: AbortSignal): Promise<void> {
    await this.#stream.listen({
      path: this.#path,
      signal,
      event: ({ name, data }) => {
        if (name === 'log') this.saw(sightingOf(JSON.parse(data) as StratalLog));
      },
    });
  }
}

interface StratalLog {
  type: 'system' | 'job' | 'task';
  job_run_id: string;
  task_run_id?: string;
  stream: 'stdout' | 'stderr' | 'system';
  message: string;
  metadata?: { gap?: { reason: string; from_line?: number; to_line?: number } };
  cursor?: string;
}

function sightingOf({ type, job_run_id, task_run_id, stream, message, metadata }: StratalLog): Sighting {
  const task = type === 'job' ? job_run_id : (task_run_id ?? '');
  if (stream === 'system' && metadata?.gap !== undefined) {
    const { reason, from_line, to_line } = metadata.gap;
    if (reason === 'unknown-place') throw new Refused(message);
    if (task === '') return gapSighting(task, { reason });
    // Where lines were trimmed, it may be known only up to which one.
    return gapSighting(task, { fromLine: from_line ?? (to_line === undefined ? 0 : 1), toLine: to_line ?? 0, reason });
  }
  const source = stream === 'system' ? 'agent' : stream;
  return { type: 'line', task: task === '' ? RELAY : task, source, text: interned(message) };
}

/** What the relay says of itself has no task in Stratal's words. */
const RELAY = 'keruta-relay';
