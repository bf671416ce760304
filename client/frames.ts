import type { DrainMessage, ErrorMessage, ForMessage, PingMessage } from '../shared/viewer-messages.ts';
import type { PlacedMessage } from './place.ts';

/** What may come on the socket, as far as it is of interest here. */
export type Message =
  | PlacedMessage
  | ForMessage
  | PingMessage
  | DrainMessage
  | ErrorMessage
  | { type: 'unsubscribed'; subscription?: string }
  | { type: 'authenticated' };

/** Messages of one subscription, in order; of none if its name is undefined. */
export interface Share {
  subscription: string | undefined;
  messages: Message[];
  /** About how much memory they take. */
  characters: number;
}

/** Tells which subscription the messages of a connection belong to. */
export class Frames {
  /** Whose `log`, `gap` and `end` are; see ForMessage. */
  #current: string | undefined;

  /** The messages of a frame. Undefined: it is no frame of this protocol. */
  read(frame: string): Share[] | undefined {
    let parsed: unknown;
    try {
      parsed = JSON.parse(frame);
    } catch {
      return undefined;
    }
    const messages = (Array.isArray(parsed) ? parsed : [parsed]) as unknown[];
    const shares: Share[] = [];
    let last: Share | undefined;
    for (const message of messages) {
      if (!isMessage(message)) return undefined;
      if (message.type === 'for') {
        this.#current = message.subscription ?? undefined;
        continue;
      }
      const subscription = this.#ownerOf(message);
      if (last?.subscription !== subscription || last === undefined) {
        last = { subscription, messages: [], characters: 0 };
        shares.push(last);
      }
      last.messages.push(message);
    }
    for (const share of shares) share.characters = (frame.length * share.messages.length) / messages.length;
    return shares;
  }

  #ownerOf(message: Message): string | undefined {
    switch (message.type) {
      case 'log':
      case 'gap':
      case 'end':
        return this.#current;
      default:
        return message.type !== 'for' && 'subscription' in message ? message.subscription : undefined;
    }
  }
}

/** Types that are not known here are let pass: a newer relay may have more to say. */
function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}
