import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import type { ServerHttp2Stream } from 'node:http2';
import { ServerInterceptingCall, status, type Metadata, type ServerInterceptor } from '@grpc/grpc-js';
import { KerutaError } from '../../../../shared/errors.ts';
import type { GrpcParts } from './grpc-parts.ts';
import { Incoming } from './incoming.ts';

/** The HTTP/2 stream below a call. */
export interface Wire {
  stream: ServerHttp2Stream;
  /** How its messages are compressed, if they are. */
  encoding: string;
  /** Of a call that streams requests: what the client sends. */
  incoming?: Incoming;
}

/**
 * Reads what clients stream by ourselves: grpc-js stops reading the moment a call is cancelled or its deadline has
 * passed, and forgets messages that came before and that nobody has asked it for yet. Clients cancel right after their
 * last message, so those would be lost. All else stays with grpc-js.
 */
export class Wires {
  readonly #log: GrpcParts['log'];
  readonly #byMetadata = new WeakMap<Metadata, Wire>();

  constructor({ log }: Pick<GrpcParts, 'log'>) {
    this.#log = log;
  }

  readonly interceptor: ServerInterceptor = (method, call) => {
    const below = belowOf(call);
    if (below === undefined) {
      this.#log.error(UNKNOWN_GRPC);
      call.sendStatus({ code: status.INTERNAL, details: UNKNOWN_GRPC });
      return new ServerInterceptingCall(call);
    }
    const { stream, incomingEncoding: encoding } = below;
    const wire: Wire = { stream, encoding };
    if (method.requestStream) {
      stream.removeAllListeners('data');
      wire.incoming = new Incoming(stream);
    }
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            this.#byMetadata.set(metadata, wire);
            go(metadata);
          },
        }),
    });
  };

  /** Of a call that has come through the interceptor. */
  of(call: { metadata: Metadata }): Wire {
    const wire = this.#byMetadata.get(call.metadata);
    if (wire === undefined) throw new Error('the call did not come through the interceptor');
    return wire;
  }
}

/** What grpc-js keeps to itself (server-interceptors.js, BaseServerInterceptingCall). */
interface Below {
  stream: ServerHttp2Stream;
  incomingEncoding: string;
}

/** Undefined if this grpc-js is built otherwise: then nothing here would hold, and no call is taken. */
function belowOf(call: object): Below | undefined {
  const { stream, incomingEncoding } = call as Partial<Below>;
  if (typeof stream?.listenerCount !== 'function' || typeof incomingEncoding !== 'string') return undefined;
  // By grpc-js, in the way that is known here.
  const isRead = stream.listenerCount('data') === 1 && stream.listenerCount('readable') === 0;
  return isRead ? { stream, incomingEncoding } : undefined;
}

const UNKNOWN_GRPC =
  'gRPC is not served: this version of @grpc/grpc-js keeps its streams otherwise than 1.14.7; install that one.';

/** A message as it was before it was compressed. Rejects with a KerutaError: TOO_LARGE, or INVALID_INPUT. */
export async function inflated(bytes: Buffer, { encoding, maxBytes }: Inflation): Promise<Buffer> {
  const inflateOne = INFLATERS.get(encoding);
  if (inflateOne === undefined)
    throw new KerutaError('INVALID_INPUT', `The message is compressed with ${JSON.stringify(encoding)}, not with gzip`);
  try {
    return await inflateOne(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new KerutaError('TOO_LARGE', `The message has more than ${maxBytes} bytes`, { cause: error });
    throw new KerutaError('INVALID_INPUT', 'The message does not decompress', { cause: error });
  }
}

interface Inflation {
  encoding: string;
  maxBytes: number;
}

type Inflate = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;
const INFLATERS = new Map<string, Inflate>([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
]);
