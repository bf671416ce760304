import type { LinesEvent, ReadEvent } from '../../../cursor.ts';
import type { Filter } from '../../../filter.ts';
import type { Reader } from '../../../reader.ts';
import type { RunFacts } from '../../../run-facts.ts';
import { endPackets, gapPackets, linePackets, partsOf, type Style } from './packets.ts';
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
        for (const event of read.events) await this.#write(event);
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

  async #write(event: ReadEvent): Promise<void> {
    if (event.type === 'lines') {
      await this.#know(event);
      for (const part of partsOf(event)) {
        await this.#room();
        this.#options.outlet.write(linePackets(part, this.#styleNow()));
        this.nextLine = event.block.firstLine + part.end;
        this.#options.stats.sent(part.matches?.length ?? part.end - part.first);
      }
      return;
    }
    await this.#room();
    const { task, outlet, reader, now } = this.#options;
    const said = { task, now: now(), cursors: reader.cursors() };
    outlet.write(event.type === 'gap' ? gapPackets(event, said) : endPackets(event, said));
    if (event.type === 'gap') this.nextLine = event.toLine + 1;
    this.#options.stats.sent(1);
  }

  /** Once stopped, another feed may go on from `nextLine`: nothing more is written. */
  async #room(): Promise<void> {
    const { outlet } = this.#options;
    if (outlet.full) await outlet.ready();
    this.#abort.signal.throwIfAborted();
  }

  /** Whose lines they are. */
  async #know({ block }: LinesEvent): Promise<void> {
    const { task, runFacts } = this.#options;
    const runs = block.runs?.map(({ run }) => run) ?? [block.run];
    if (runs.some((run) => runFacts.of(task, run) === undefined)) await runFacts.ensure(task, runs);
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
