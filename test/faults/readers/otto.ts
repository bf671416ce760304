import { io, type Socket } from 'socket.io-client';
import { PATIENCE_MS } from '../http.ts';
import type { Sighting } from '../contract.ts';
import { EventStream } from './events.ts';
import { Refused, type FollowerOptions } from './follower.ts';
import { gapSighting, interned, type KerutaGap } from './sightings.ts';
import { UnnumberedFollower } from './unnumbered.ts';

export interface OttoOptions extends FollowerOptions {
  /** Absent: everything. */
  task?: string;
}

/** Otto's event streams: from the first line, then as an `EventSource` comes back, also after the task's end. */
export class OttoEventsReader extends UnnumberedFollower {
  readonly #path: string;
  readonly #stream: EventStream;

  constructor({ task, ...options }: OttoOptions) {
    super(options);
    const of = task === undefined ? '' : `/${encodeURIComponent(task)}`;
    // Without a place, a stream of everything begins now.
    this.#path = `/api/v1/log-streaming/stream${of}?from=start`;
    this.#stream = new EventStream(options.entrance);
  }

  protected override async session(signal: AbortSignal): Promise<void> {
    let over = false as boolean;
    const answer = await this.#stream.listen({
      path: this.#path,
      signal,
      event: ({ name, data }) => {
        if (name === 'log') this.saw(sightingOf(JSON.parse(data) as OttoLog));
        else if (name === 'complete') over = true;
        else if (name === 'error') throw new Refused(data);
      },
    });
    // Another run may follow.
    if (over || answer === 'told') await this.pause(AFTER_END_MS, signal);
  }
}

export interface OttoSocketOptions extends FollowerOptions {
  task: string;
  transports: ('websocket' | 'polling')[];
}

/** Otto's Socket.IO: subscribes from the first line, then with the cursor of the last entry. */
export class OttoSocketReader extends UnnumberedFollower {
  readonly #options: OttoSocketOptions;
  #cursor: string | undefined;

  constructor(options: OttoSocketOptions) {
    super(options);
    this.#options = options;
  }

  protected override async session(signal: AbortSignal): Promise<void> {
    const { task: taskId, transports, entrance } = this.#options;
    const { url, ca, tokens } = entrance;
    const socket = io(`${url}/log-streaming`, {
      ...{ forceNew: true, transports, reconnection: false, timeout: PATIENCE_MS },
      ...(ca !== undefined && { ca }),
      ...(tokens !== undefined && { auth: { token: tokens.read } }),
    });
    const over = Promise.withResolvers<undefined>();
    const leave = (): void => over.resolve(undefined);
    signal.addEventListener('abort', leave);
    const watch = setInterval(() => void isAlive(socket).catch(leave), PATIENCE_MS);
    socket.on('connect', () => {
      const from = this.#cursor === undefined ? { from: 'start' } : { cursor: this.#cursor };
      socket.emit('subscribe-to-logs', { taskId, ...from });
    });
    socket.on('log-entry', (log: OttoLog & { cursor: string }) => {
      if (signal.aborted) return;
      this.#cursor = log.cursor;
      this.saw(sightingOf(log));
    });
    for (const event of ['connection_error', 'subscription_error'])
      socket.on(event, (error: unknown) => over.reject(new Refused(`${event}: ${JSON.stringify(error)}`)));
    socket.on('connect_error', leave);
    socket.on('disconnect', leave);
    try {
      await over.promise;
    } finally {
      clearInterval(watch);
      signal.removeEventListener('abort', leave);
      // Also while it is still connecting.
      socket.io.engine.close();
      socket.disconnect();
    }
  }
}

/** Rejects if the relay does not answer in time. */
async function isAlive(socket: Socket): Promise<void> {
  if (socket.connected) await socket.timeout(PATIENCE_MS - 100).emitWithAck('get-server-stats');
}

interface OttoLog {
  taskId: string;
  source: 'stdout' | 'stderr' | 'agent';
  message: string;
  metadata: { gap?: KerutaGap };
  more?: true;
  rest?: true;
}

function sightingOf({ taskId: task, source, message, metadata, more, rest }: OttoLog): Sighting {
  if (source === 'agent' && metadata.gap !== undefined) {
    // Without a task they are no line numbers, but places in the store.
    return gapSighting(task, task === '' ? { reason: metadata.gap.reason } : metadata.gap);
  }
  return { type: 'line', task, source, text: interned(message), more: more === true, rest: rest === true };
}

const AFTER_END_MS = 300;
