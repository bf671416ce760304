import type { Batch, LinesEvent, ReadEvent } from '../../../cursor.ts';
import type { Filter } from '../../../filter.ts';
import type { Reader } from '../../../reader.ts';
import type { RunFacts } from '../../../run-facts.ts';
import { endPackets, gapPackets, linePackets, partsOf, type Packets, type Style } from './packets.ts';
import type { Feed } from './feeds.ts';
import type { Outlet } from './outlet.ts';
import type { Start } from './requests.ts';
import type { ServerStats } from './server-stats.ts';

export interface LogFeedOptions {
  task: string;
  /** The line number to start from. */
  from: number;
  /** What the client called that place, if it did. */
  start: Start | undefined;
  filter: Filter;
  reader: Reader;
  runFacts: RunFacts;
  outlet: Outlet;
  stats: Pick<ServerStats, 'sent'>;
  now: () => number;
}

/** One task's log for one client: every line that matches from a place on, once and in order. */
export class LogFeed implements Feed {
  /** Everything below was written, or does not match. */
  nextLine: number;
  readonly #options: LogFeedOptions;
  readonly #abort = new AbortController();
  #style: Style | undefined;

  constructor(options: LogFeedOptions) {
    this.#options = options;
    this.nextLine = options.from;
  }

  async run(): Promise<void> {
    const { task, from, filter, reader } = this.#options;
    const { signal } = this.#abort;
    const leave = reader.followed.join(task, this);
    try {
      for await (const read of reader.follow(task, { from, filter, signal })) {
        const frames = this.#sharedFrames(read);
        if (frames === undefined) for (const event of read.events) await this.#write(event);
        else await this.#writeFrames(frames, read);
        signal.throwIfAborted();
        this.nextLine = read.nextLine;
        reader.followed.took(read);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      leave();
    }
  }

  get filter(): Filter {
    return this.#options.filter;
  }

  get start(): Start | undefined {
    return this.#options.start;
  }

  stop(): void {
    this.#abort.abort();
  }

  /** What is the same for all clients who are here, if it may leave in one write. */
  #sharedFrames({ events, joined }: Batch): readonly Buffer[] | undefined {
    const { outlet } = this.#options;
    if (joined === undefined || !outlet.direct || countOf(events) > outlet.linesAtOnce) return undefined;
    const style = this.#styleNow();
    const key = `otto socket.io ${style.epoch} ${style.filterKey}`;
    const made = joined.made(key);
    if (made !== undefined) return made;
    if (!events.every((event) => event.type === 'lines' && this.#isKnown(event))) return undefined;
    const render = (): Buffer[] =>
      events.flatMap((event) => (event.type === 'lines' ? [linePackets(event, style).frames()] : []));
    return joined.of(key, render);
  }

  async #writeFrames(frames: readonly Buffer[], { events, nextLine }: Batch): Promise<void> {
    const { outlet, stats } = this.#options;
    const { signal } = this.#abort;
    while (outlet.full && !signal.aborted) await outlet.ready(signal);
    signal.throwIfAborted();
    outlet.writeFrames(frames);
    this.nextLine = nextLine;
    stats.sent(countOf(events));
  }

  async #write(event: ReadEvent): Promise<void> {
    const { outlet, stats } = this.#options;
    const { signal } = this.#abort;
    if (event.type === 'lines') await this.#know(event);
    for (const { packets, count, behind } of this.#writesOf(event)) {
      // Others write here, too: whoever finds it full again waits for another turn.
      while (outlet.full && !signal.aborted) await outlet.ready(signal);
      // Once stopped, another feed may go on from `nextLine`: nothing more is written.
      signal.throwIfAborted();
      outlet.write(packets);
      this.nextLine = behind ?? this.nextLine;
      stats.sent(count);
    }
  }

  *#writesOf(event: ReadEvent): Generator<Write> {
    const { task, outlet, reader, now } = this.#options;
    if (event.type === 'lines') {
      const { firstLine } = event.block;
      for (const part of partsOf(event, () => outlet.linesAtOnce)) {
        const count = countOf([part]);
        yield { packets: linePackets(part, this.#styleNow()), count, behind: firstLine + part.end };
      }
      return;
    }
    const said = { task, now: now(), cursors: reader.cursors() };
    if (event.type === 'gap') yield { packets: gapPackets(event, said), count: 1, behind: event.toLine + 1 };
    else yield { packets: endPackets(event, said), count: 1 };
  }

  /** Whose lines they are. */
  async #know(event: LinesEvent): Promise<void> {
    const { task, runFacts } = this.#options;
    if (!this.#isKnown(event)) await runFacts.ensure(task, event.block.runIds);
  }

  #isKnown({ block }: LinesEvent): boolean {
    const { task, runFacts } = this.#options;
    return block.runIds.every((run) => runFacts.of(task, run) !== undefined);
  }

  /** Epochs change once in a store's life, if at all. */
  #styleNow(): Style {
    const { task, filter, reader, runFacts } = this.#options;
    const epoch = reader.epoch();
    if (this.#style?.epoch !== epoch) {
      const workerOf: Style['workerOf'] = (run) => runFacts.of(task, run);
      this.#style = { filterKey: filter.key, epoch, cursors: reader.cursors(), workerOf };
    }
    return this.#style;
  }
}

/** Their lines. */
function countOf(events: readonly ReadEvent[]): number {
  let count = 0;
  for (const event of events) if (event.type === 'lines') count += event.matches?.length ?? event.end - event.first;
  return count;
}

/** What is written at once. */
interface Write {
  packets: Packets;
  /** Of the entries that it holds. */
  count: number;
  /** The line behind it; absent where it is at none. */
  behind?: number;
}
