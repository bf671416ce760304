import type { Level, Source } from '../shared/line.ts';
import type { SubscribeOptions } from '../shared/viewer-messages.ts';
import { ClientError } from './errors.ts';
import type { Query } from './query.ts';

/** Which lines are wanted: all that is given must hold, of each list one. */
export interface Filter {
  levels?: Level[];
  sources?: Source[];
  /** A part of the message, or any of several; ASCII letters match in either case. */
  text?: string | string[];
  /** RE2 syntax, anywhere in the message. */
  regex?: string;
  /** The earliest and the latest time, both inclusive: a Date, ISO 8601, or ms since 1970. */
  since?: Date | string | number;
  until?: Date | string | number;
  /** Run ids. */
  runs?: string[];
  /** Ids of the workers that wrote them. */
  workers?: string[];
  /** Values of the lines' metadata by key; nested keys are joined by dots. */
  meta?: Record<string, string | number | boolean>;
}

/** As a subscription says it. */
export function subscribeFilter({ text, since, until, ...rest }: Filter): SubscribeOptions {
  return {
    ...rest,
    ...(text !== undefined && { q: text }),
    ...(since !== undefined && { since: timeOf(since) }),
    ...(until !== undefined && { until: timeOf(until) }),
  };
}

/** As a query says it. */
export function queryFilter(filter: Filter): Query {
  const { levels, sources, text, regex, since, until, runs, workers, meta = {} } = filter;
  return {
    level: levels,
    source: sources,
    run: runs,
    worker: workers,
    q: text,
    regex,
    from: since === undefined ? undefined : isoOf(since),
    to: until === undefined ? undefined : isoOf(until),
    ...Object.fromEntries(Object.entries(meta).map(([key, value]) => [`meta.${key}`, String(value)])),
  };
}

function timeOf(time: Date | string | number): string | number {
  return typeof time === 'string' ? time : dateOf(time).getTime();
}

/** A time as text. Throws a ClientError `INVALID_INPUT` for a Date that is none. */
export function isoOf(time: Date | string | number): string {
  return typeof time === 'string' ? time : dateOf(time).toISOString();
}

/** One that is none would go over the wire as if no time were wanted. */
function dateOf(time: Date | number): Date {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) throw new ClientError('INVALID_INPUT', 'A time that was given is none.');
  return date;
}
