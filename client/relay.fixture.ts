import type { SubscribeMessage } from '../shared/viewer-messages.ts';
import type { ClientSocket, Closing, OpenSocket, SocketEvents } from './socket.ts';

/** What a client says. */
export type Said =
  SubscribeMessage | { type: 'unsubscribe'; subscription: string } | { type: 'auth'; token: string } | { type: 'ping' };

/** One connection to a relay of which the test says what it does. */
export class ScriptedSocket {
  readonly said: Said[] = [];
  readonly events: SocketEvents;
  closed = false;
  paused = false;

  constructor(events: SocketEvents) {
    this.events = events;
  }

  get subscribes(): SubscribeMessage[] {
    return this.said.filter((message) => message.type === 'subscribe');
  }

  /** A frame with these messages, behind a `for` if they are of a subscription. */
  say(messages: object | object[], subscription?: string): void {
    if (subscription !== undefined) this.events.message(JSON.stringify({ type: 'for', subscription }));
    this.events.message(JSON.stringify(messages));
  }

  lose(closing: Partial<Closing> = {}): void {
    this.closed = true;
    this.events.closed({ retry: true, problem: 'the connection broke', ...closing });
  }
}

export type Script = (socket: ScriptedSocket, subscription: string, message: SubscribeMessage) => void;

/** A relay in a few lines: what the n-th subscribe of all is answered is written by the test. */
export class ScriptedRelay {
  readonly sockets: ScriptedSocket[] = [];
  readonly #script: Script[];
  /** Whether its sockets can be paused. */
  pausable = false;

  constructor(...script: Script[]) {
    this.#script = script;
  }

  get subscribes(): SubscribeMessage[] {
    return this.sockets.flatMap((socket) => socket.subscribes);
  }

  readonly open: OpenSocket = (events): ClientSocket => {
    const socket = new ScriptedSocket(events);
    this.sockets.push(socket);
    setImmediate(() => {
      if (!socket.closed) events.open();
    });
    return {
      send: (text) => {
        const said = JSON.parse(text) as Said;
        socket.said.push(said);
        if (said.type !== 'subscribe') return;
        const act = this.#script.shift();
        setImmediate(() => {
          if (!socket.closed) act?.(socket, said.subscription ?? '', said);
        });
      },
      close: () => {
        socket.closed = true;
      },
      ...(this.pausable && {
        pause: () => {
          socket.paused = true;
        },
        resume: () => {
          socket.paused = false;
        },
      }),
    };
  };
}

/** A line of a task. */
export function log(lineNumber: number, message = String(lineNumber)): object {
  return { type: 'log', id: `id${lineNumber}`, lineNumber, message };
}
