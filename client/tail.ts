import type { SubscribeMessage } from '../shared/viewer-messages.ts';
import type { Client } from './client.ts';
import { ClientError } from './errors.ts';
import type { MergedEvent, TaskEvent } from './events.ts';
import { Feed, type FeedEvent } from './feed.ts';
import { subscribeFilter, type Filter } from './filter.ts';
import { Link } from './link.ts';
import { Place } from './place.ts';
import { webSocketOpener } from './web-socket.ts';

/**
 * What to follow: a task; the tasks of a pipeline together (a task without one is a pipeline by itself, under its own
 * id); or all that the token may read. None of them need exist yet.
 */
export type TailTarget = { task: string } | { pipeline: string } | { all: true };

export type TailEvent<T extends TailTarget = TailTarget> = T extends { task: string } ? TaskEvent : MergedEvent;

export interface TailOptions {
  /**
   * The first line: "start", "now", a cursor (a line's `id`, or the `cursor` of another event), or of a task a line
   * number. Default "now"; "start" if `follow` is false.
   */
  from?: string | number;
  /** In place of `from`: begin behind the line with this `id`. */
  after?: string;
  /** In place of `from`: so many matching lines before the end; of more than one task 1,000 at most. */
  lines?: number;
  filter?: Filter;
  /** false: end behind the last line that there is now. Default true. */
  follow?: boolean;
  /** Of a task: bring `end` only when so many runs have ended. */
  expectRuns?: number;
  /** Ends it: the loop then throws the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Follows a log: every line that matches once and in order, history and live, across any number of connections. What is
 * missing comes as a `gap`. Goes on after `end`, which another run may follow; leave the loop to stop. Nothing is asked
 * of the relay before the first turn of the loop.
 *
 * All tails of a client share one WebSocket, up to 100 of them. One that is read slowly holds up no other: it keeps some
 * 2 MiB and gets the rest from the relay later.
 *
 * Throws a ClientError when trying again is in vain, and the signal's reason when that aborts.
 */
export async function* tail<T extends TailTarget>(
  client: Client,
  target: T,
  options: TailOptions = {},
): AsyncGenerator<TailEvent<T>, void, undefined> {
  for await (const group of tailGroups(client, target, options)) yield* group;
}

/** As `tail`, in groups as they arrive, one event or more: for those who take thousands of lines a second. */
export async function* tailGroups<T extends TailTarget>(
  client: Client,
  target: T,
  options: TailOptions = {},
): AsyncGenerator<TailEvent<T>[], void, undefined> {
  options.signal?.throwIfAborted();
  const link = linkOf(client);
  const feed = feedOf(target, options);
  link.add(feed);
  try {
    yield* feed.groups() as AsyncGenerator<FeedEvent[] & TailEvent<T>[], void, undefined>;
  } finally {
    link.remove(feed);
  }
}

function feedOf(target: TailTarget, options: TailOptions): Feed {
  const { filter = {}, follow = true, expectRuns, signal } = options;
  return new Feed({
    target: targetOf(target),
    wanted: { ...subscribeFilter(filter), realtime: follow, ...(expectRuns !== undefined && { expectRuns }) },
    place: new Place(startOf(options), { ofTask: 'task' in target }),
    signal,
  });
}

function startOf({ from, after, lines, follow = true }: TailOptions): { from?: string | number } {
  const given = {
    ...(from !== undefined && { from }),
    ...(after !== undefined && { after }),
    ...(lines !== undefined && { tail: lines }),
  };
  const count = Object.keys(given).length;
  if (count > 1) throw new ClientError('INVALID_INPUT', 'Only one of from, after and lines can be given.');
  return count === 1 ? given : { from: follow ? 'now' : 'start' };
}

function targetOf(target: TailTarget): Pick<SubscribeMessage, 'taskId' | 'pipelineId' | 'all'> {
  if ('task' in target) return { taskId: target.task };
  return 'pipeline' in target ? { pipelineId: target.pipeline } : { all: true };
}

/** The one WebSocket of a client. */
function linkOf(client: Client): Link {
  const { backoff = BACKOFF, random = Math.random, idleMs = IDLE_MS, token, webSocket } = client.options;
  const open = webSocket ?? webSocketOpener(`${client.url.replace('http', 'ws')}/ws`);
  return client.shared(() => new Link({ open, token, backoff, random, idleMs }));
}

const BACKOFF = { minMs: 100, maxMs: 30_000 };
const IDLE_MS = 2000;
