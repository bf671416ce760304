import type { PublicApi } from '../../public-api.ts';
import type { GrpcParts } from './grpc-parts.ts';
import type { GrpcServer } from './server.ts';

/** Otto's gRPC services, if a port is configured. What they are made of is loaded only then. */
export function openGrpc(parts: GrpcParts): GrpcApi {
  const { grpcPort } = parts.config;
  let server: GrpcServer | undefined;
  const api: GrpcApi = {
    port: undefined,
    start: async () => {
      if (grpcPort === undefined) return;
      const { serveGrpc } = await import('./server.ts');
      server = serveGrpc(parts, grpcPort);
      api.port = await server.start();
    },
    stop: async () => server?.stop(),
    connections: () => server?.connections() ?? 0,
  };
  return api;
}

export interface GrpcApi extends Required<Pick<PublicApi, 'start' | 'stop' | 'connections'>> {
  /** Where it listens, once it has started. */
  port: number | undefined;
}
