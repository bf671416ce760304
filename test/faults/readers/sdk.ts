import { WebSocket } from 'ws';
import { createClient, type Client } from '../../../client/client.ts';
import { ClientError } from '../../../client/errors.ts';
import type { OpenSocket } from '../../../client/socket.ts';
import { tailGroups, type TailTarget } from '../../../client/tail.ts';
import type { Entrance } from '../contract.ts';
import { PATIENCE_MS } from '../http.ts';
import { Follower, Refused, type FollowerOptions } from './follower.ts';
import { gapSighting, lineSighting } from './sightings.ts';

export interface SdkOptions extends FollowerOptions {
  target: TailTarget;
}

/** The client library, which comes back by itself. Who leaves it and comes again says where it was. */
export class SdkReader extends Follower {
  readonly #target: TailTarget;
  #place: { from: string } | { after: string } = { from: 'start' };

  constructor({ target, ...options }: SdkOptions) {
    super(options);
    this.#target = target;
  }

  protected override async session(signal: AbortSignal): Promise<void> {
    const client = clientOf(this.entrance);
    try {
      for await (const events of tailGroups(client, this.#target, { ...this.#place, signal })) {
        for (const event of events) {
          if (event.type === 'lag') this.reconnects++;
          else if (event.type === 'reset') throw new Refused(event.message);
          else if (event.type === 'log') {
            this.#place = { after: event.id };
            this.saw(lineSighting(event));
          } else if (event.type === 'gap') {
            this.#place = { from: event.cursor };
            this.saw(gapSighting(event.taskId, event));
          }
        }
      }
    } catch (error) {
      if (error instanceof ClientError && !signal.aborted) throw new Refused(`${error.code}: ${error.message}`);
      throw error;
    } finally {
      client.close();
    }
  }
}

function clientOf(entrance: Entrance): Client {
  const { url, ca, tokens } = entrance;
  return createClient({
    url,
    backoff: { minMs: 50, maxMs: 1000 },
    ...(tokens !== undefined && { token: tokens.read }),
    // Node's own WebSocket takes no other authority.
    ...(ca !== undefined && { webSocket: openerOf(url, ca) }),
  });
}

function openerOf(url: string, ca: string): OpenSocket {
  return (events) => {
    const options = { ca, handshakeTimeout: PATIENCE_MS, perMessageDeflate: false };
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, 'keruta.view.v1', options);
    let problem = 'the connection broke';
    let closed = false;
    socket.on('open', () => events.open());
    // ws hands out one Buffer a message unless told otherwise.
    socket.on('message', (data) => events.message((data as Buffer).toString('utf8')));
    socket.on('error', (error) => (problem = error.message));
    socket.on('close', (code) => {
      if (!closed) events.closed({ retry: code < 4000 || code > 4099, problem: `${problem} (${code})` });
    });
    return {
      send: (text) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      },
      close: () => {
        closed = true;
        socket.terminate();
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    };
  };
}
