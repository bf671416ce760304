import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall } from '@grpc/grpc-js';
import { KerutaError } from '../../../../shared/errors.ts';
import type { Caller } from '../../../caller.ts';
import { toKerutaError } from '../../../http-errors.ts';
import { admitCall } from './admission.ts';
import { EntryStream, type EntryStreamOptions } from './entry-stream.ts';
import type { GrpcParts } from './grpc-parts.ts';
import type { LogEntryMessage } from './messages.ts';
import { grpcError } from './status.ts';
import { Wires } from './wire.ts';

/** Lets calls in and keeps those that stream, until they have ended. */
export class Calls {
  readonly #parts: GrpcParts;
  readonly #wires: Wires;
  readonly #streams = new Set<{ end(problem: KerutaError): void; done: Promise<void> }>();
  #stopping = false;

  constructor(parts: GrpcParts) {
    this.#parts = parts;
    this.#wires = new Wires(parts);
  }

  get interceptor(): Wires['interceptor'] {
    return this.#wires.interceptor;
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Ends all streams once what has come is answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const stream of this.#streams) stream.end(stopping());
    await Promise.all(Array.from(this.#streams, ({ done }) => done));
  }

  /** A method that answers one request. What it rejects with is told to the client. */
  unary<Request, Response>(answer: (request: Request, caller: Caller) => Promise<Response>) {
    return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
      this.#admit(call)
        .then(({ caller, address }) => {
          this.#parts.limits.request(address);
          return answer(call.request, caller);
        })
        .then(
          (response) => done(null, response),
          (error: unknown) => done(grpcError(this.#shown(error))),
        );
    };
  }

  /** A method that streams entries. */
  entries<Entry extends LogEntryMessage>(open: (caller: Caller) => EntryMethod<Entry>) {
    return (call: ServerDuplexStream<Entry, unknown>): void => {
      // Its other side may go at any time; `cancelled` says so.
      call.on('error', () => undefined);
      this.#serve(call, open).catch((error: unknown) => this.#refuse(call, this.#shown(error)));
    };
  }

  async #serve<Entry extends LogEntryMessage>(
    call: ServerDuplexStream<Entry, unknown>,
    open: (caller: Caller) => EntryMethod<Entry>,
  ): Promise<void> {
    const { limits, sessions } = this.#parts;
    const { caller, address } = await this.#admit(call);
    const { incoming, ...wire } = this.#wires.of(call);
    if (incoming === undefined) throw new Error('the method does not stream');
    const close = limits.connect({ address, kind: 'agent' });
    const method = open(caller);
    const stream = new EntryStream<Entry>({
      ...{ parts: this.#parts, call, caller, wire: { ...wire, incoming } },
      ...method,
    });
    const forget = sessions.add({
      principal: caller.principal,
      // As agents: its lines would only wait.
      endsWithToken: false,
      end: ({ code, message }) => stream.end(new KerutaError(code, message)),
    });
    if (call.cancelled) incoming.stop();
    const done = stream.serve().finally(() => {
      this.#streams.delete(open_);
      forget();
      close();
      method.onClosed?.();
    });
    const open_ = { end: (problem: KerutaError) => stream.end(problem), done };
    this.#streams.add(open_);
    await done;
  }

  async #admit(
    call: ServerUnaryCall<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  ): ReturnType<typeof admitCall> {
    const wire = this.#wires.of(call);
    const admitted = await admitCall({ metadata: call.metadata, wire, host: call.getHost() }, this.#parts);
    // Nobody would end it.
    if (this.#stopping) throw stopping();
    if (!admitted.caller.principal.has('ingest'))
      throw new KerutaError('FORBIDDEN', 'The token does not grant ingest.');
    return admitted;
  }

  #refuse(call: ServerDuplexStream<unknown, unknown>, error: KerutaError): void {
    const { stream, incoming } = this.#wires.of(call);
    incoming?.stop();
    if (call.destroyed) return;
    call.emit('error', grpcError(error));
    // What it goes on sending would be read for nothing.
    const cut = setTimeout(() => stream.close(), REFUSED_PATIENCE_MS);
    stream.once('close', () => clearTimeout(cut));
  }

  #shown(error: unknown): KerutaError {
    const shown = toKerutaError(error);
    this.#parts.meter.failed(shown.code);
    if (shown.code === 'INTERNAL_SERVER_ERROR') this.#parts.log.error({ err: error }, 'a gRPC call failed');
    return shown;
  }
}

/** What is special about one method, for one call of it. */
export interface EntryMethod<Entry> extends Pick<
  EntryStreamOptions<Entry>,
  'codec' | 'senderOf' | 'sequence' | 'idleMs' | 'graceMs'
> {
  onClosed?: () => void;
}

function stopping(): KerutaError {
  return new KerutaError('DRAINING', 'The relay is stopping.');
}

const REFUSED_PATIENCE_MS = 1000;
