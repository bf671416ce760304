import { setImmediate as turn } from 'node:timers/promises';
import type { MergedEvent } from '../../merged/merged-event.ts';
import { eachLog, gapLog } from './shape.ts';

export interface LogPage {
  /** Lines that there are. */
  total: number;
  events: readonly MergedEvent[];
}

/** A page of logs as JSON, part after part. Logs that stand for missing lines are shown, and not counted. */
export async function* logParts(
  page: LogPage,
  { pagination, now }: LogPartsOptions,
): AsyncGenerator<string, void, undefined> {
  let count = 0;
  let time = now;
  let before = '{"logs":[';
  for (const event of shown(page.events)) {
    const logs: string[] = [];
    if (event.type === 'gap') logs.push(gapLog(event, time));
    else {
      eachLog(event, (json) => logs.push(json));
      count += logs.length;
      time = event.block.header?.maxTime ?? time;
    }
    if (logs.length === 0) continue;
    yield before + logs.join(',');
    before = ',';
    // Others run between two blocks.
    await turn();
  }
  const said = pagination?.({ total: page.total, count });
  yield `${before === ',' ? '' : before}]${said === undefined ? '' : `,"pagination":${JSON.stringify(said)}`}}`;
}

interface LogPartsOptions {
  /** What the answer says of its page; absent: nothing. */
  pagination?: (counted: { total: number; count: number }) => object;
  /** The time of a gap that no line stands before, ms since 1970. */
  now: number;
}

/** What an answer says of its page: `count` lines of `total`. */
export type Paginate = (paging: { total: number; count: number; limit: number; offset: number }) => object;

/** Of a job run that nobody knows there is nothing to show: what was trimmed then was others'. */
function shown(events: readonly MergedEvent[]): Exclude<MergedEvent, { type: 'end' }>[] {
  const pieces = events.filter((event) => event.type !== 'end');
  const known = pieces.some((piece) => piece.type === 'lines' || piece.task !== undefined);
  return known ? pieces : [];
}
