import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Both services as ottoscaler.proto describes them, which stands beside this module, from source and in the bundle. */
export interface Services {
  streams: ServiceDefinition;
  handlers: ServiceDefinition;
}

/** Where the description is; clients are made from it, too. */
export const PROTO_FILE = fileURLToPath(new URL('./ottoscaler.proto', import.meta.url));

export function loadServices(): Services {
  const definitions = loadSync(PROTO_FILE, { keepCase: true, longs: Number, enums: String, defaults: true });
  return {
    streams: definitions[`${PACKAGE}.LogStreamingService`] as ServiceDefinition,
    handlers: definitions[`${PACKAGE}.OttoHandlerLogService`] as ServiceDefinition,
  };
}

/** How one method's messages are read and written. */
export type Codec<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  'requestDeserialize' | 'responseSerialize'
>;

const PACKAGE = 'ottoscaler.v1';
