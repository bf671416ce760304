import type { GapMessage, LogMessage } from '../../../shared/viewer-messages.ts';
import { Follower, Refused, type FollowerOptions } from './follower.ts';
import { gapSighting, lineSighting } from './sightings.ts';
import { talk } from './socket.ts';

export interface KerutaSocketOptions extends FollowerOptions {
  /** Of what: a task on its own address; else a pipeline, or everything, where subscriptions have names. */
  of: { task: string } | { pipelineId: string } | { all: true };
  batch: boolean;
}

/** Follows over `keruta.view.v1` as the API's page says: from the start, then from behind what was seen last. */
export class KerutaSocketReader extends Follower {
  readonly #options: KerutaSocketOptions;
  #place: { from: string } | { after: string } = { from: 'start' };

  constructor(options: KerutaSocketOptions) {
    super(options);
    this.#options = options;
  }

  protected override session(signal: AbortSignal): Promise<void> {
    const { of, batch } = this.#options;
    const { tokens } = this.entrance;
    return talk(this.entrance, {
      path: 'task' in of ? `/ws/tasks/${encodeURIComponent(of.task)}` : '/ws',
      protocol: 'keruta.view.v1',
      withoutToken: true,
      signal,
      opened: (socket) => {
        const say = (message: object): void => socket.send(JSON.stringify(message));
        if (tokens !== undefined) say({ type: 'auth', token: tokens.read });
        const options = { ...this.#place, ...(batch && { batch }) };
        say({ type: 'subscribe', ...('task' in of ? {} : { subscription: 'storm', ...of }), options });
      },
      message: (text) => {
        const messages = JSON.parse(text) as Said | Said[];
        for (const message of Array.isArray(messages) ? messages : [messages]) this.#take(message);
      },
    });
  }

  #take(message: Said): void {
    if (message.type === 'log') {
      this.#place = { after: message.id };
      this.saw(lineSighting(message));
    } else if (message.type === 'gap') {
      this.#place = { from: message.cursor };
      this.saw(gapSighting(message.taskId, message));
    } else if (message.type === 'error' && (message.code === 'INVALID_CURSOR' || message.code === 'FORBIDDEN')) {
      throw new Refused(`${message.code}: ${message.message}`);
    }
  }
}

/** As far as this reader cares. */
type Said = LogMessage | GapMessage | { type: 'error'; code: string; message: string } | { type: 'other' };
