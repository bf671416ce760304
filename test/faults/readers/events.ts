import type { IncomingMessage } from 'node:http';
import { ask, PATIENCE_MS, textOfAnswer } from '../http.ts';
import type { Entrance } from '../contract.ts';
import { Refused } from './follower.ts';
import { isInVain } from './socket.ts';

/** An event of a stream, as the HTML standard has it. */
export interface StreamEvent {
  name: string;
  data: string;
}

export interface Listening {
  path: string;
  signal: AbortSignal;
  event: (event: StreamEvent) => void;
}

/** A stream of server-sent events that is come back to: with `Last-Event-ID`, as an `EventSource` does. */
export class EventStream {
  readonly #entrance: Entrance;
  /** Of the last event that was whole. */
  #lastId: string | undefined;

  constructor(entrance: Entrance) {
    this.#entrance = entrance;
  }

  /**
   * One connection, until it ends, breaks, or nothing comes for PATIENCE_MS. Resolves with `told` if the relay says that
   * there is nothing more (204). Rejects with a Refused if coming back is in vain.
   */
  async listen({ path, signal, event }: Listening): Promise<'over' | 'told'> {
    const headers = {
      accept: 'text/event-stream',
      ...(this.#lastId !== undefined && { 'last-event-id': this.#lastId }),
    };
    const answer = await ask(this.#entrance, { path, headers, signal });
    if (answer.statusCode === 204) {
      answer.resume();
      return 'told';
    }
    if (answer.statusCode !== 200) {
      const text = await textOfAnswer(answer);
      if (isInVain(answer.statusCode ?? 0)) throw new Refused(`HTTP ${answer.statusCode} for ${path}: ${text}`);
      return 'over';
    }
    await this.#read(answer, { signal, event });
    return 'over';
  }

  async #read(answer: IncomingMessage, { signal, event }: Pick<Listening, 'signal' | 'event'>): Promise<void> {
    answer.setTimeout(PATIENCE_MS, () => answer.destroy());
    answer.setEncoding('utf8');
    let rest = '';
    let name = '';
    let data: string[] = [];
    let id: string | undefined;
    for await (const part of answer as AsyncIterable<string>) {
      const lines = (rest + part).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        // What comes behind the wish to leave belongs to the next connection.
        if (signal.aborted) return;
        const colon = line.indexOf(':');
        const field = colon === -1 ? line : line.slice(0, colon);
        const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') name = value;
        else if (field === 'data') data.push(value);
        else if (field === 'id') id = value;
        else if (line === '') {
          // The event is whole.
          this.#lastId = id ?? this.#lastId;
          if (data.length > 0) event({ name: name === '' ? 'message' : name, data: data.join('\n') });
          name = '';
          data = [];
        }
      }
    }
  }
}
