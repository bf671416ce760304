import type { IncomingHttpHeaders } from 'node:http';
import type { Metadata } from '@grpc/grpc-js';
import { requestIdOf } from '../../../auth/request-id.ts';
import type { Caller } from '../../../caller.ts';
import type { GrpcParts } from './grpc-parts.ts';
import type { Wire } from './wire.ts';

/**
 * Who makes a call: by `authorization` or `x-api-key` in its metadata, or by a client certificate. Rejects with a
 * KerutaError as the door does, or if the client may not send.
 */
export async function admitCall(
  { metadata, wire, host }: Call,
  { door }: Pick<GrpcParts, 'door'>,
): Promise<{ caller: Caller; address: string }> {
  const headers = headersOf(metadata, host);
  const { session } = wire.stream;
  if (session === undefined) throw new Error('the connection is gone');
  const request = { headers, method: 'POST', url: '', socket: session.socket };
  const address = door.addressOf(request);
  const caller = await door.admit(request, { address, requestId: requestIdOf(headers) });
  return { caller, address };
}

interface Call {
  metadata: Metadata;
  wire: Wire;
  /** What the client calls the relay. */
  host: string;
}

function headersOf(metadata: Metadata, host: string): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = { host };
  for (const name of ASKED) {
    const [value] = metadata.get(name);
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

const ASKED = ['authorization', 'x-api-key', 'x-forwarded-for', 'x-request-id'] as const;
