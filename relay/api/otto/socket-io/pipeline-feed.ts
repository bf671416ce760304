import type { Principal } from '../../../auth/principal.ts';
import type { PipelineProgress } from '../pipeline-progress.ts';
import type { Feed } from './feeds.ts';
import type { Outlet } from './outlet.ts';
import { progressPackets } from './packets.ts';

export interface PipelineFeedOptions {
  pipelineId: string;
  /** Who reads: it is told of those tasks only that it may read. */
  principal: Principal;
  progress: PipelineProgress;
  outlet: Outlet;
}

/** How far one pipeline is, for one client: as it is, and then whatever changes. One that is slow gets the newest. */
export class PipelineFeed implements Feed {
  readonly #options: PipelineFeedOptions;
  readonly #abort = new AbortController();

  constructor(options: PipelineFeedOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { pipelineId, principal, progress, outlet } = this.#options;
    const { signal } = this.#abort;
    try {
      for await (const news of progress.follow(pipelineId, { principal, signal })) {
        while (outlet.full && !signal.aborted) await outlet.ready(signal);
        signal.throwIfAborted();
        outlet.write(progressPackets(news.progress));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  stop(): void {
    this.#abort.abort();
  }
}
