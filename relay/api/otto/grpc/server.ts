import { setTimeout as delay } from 'node:timers/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { RelayConfig } from '../../../../shared/options/relay-options.ts';
import { listenAddresses, listenUrl } from '../../../listen-address.ts';
import { Calls } from './calls.ts';
import type { GrpcParts } from './grpc-parts.ts';
import { HandlerLogs } from './handler-logs.ts';
import { Listener } from './listener.ts';
import { LogStreaming } from './log-streaming.ts';
import { loadServices } from './services.ts';

/** Otto's gRPC services on a port of their own, at the relay's addresses. */
export function serveGrpc(parts: GrpcParts, port: number): GrpcServer {
  const { config, tls, log } = parts;
  const calls = new Calls(parts);
  const services = loadServices();
  const server = new Server({
    interceptors: [calls.interceptor],
    'grpc.max_receive_message_length': config.maxMessageBytes,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_connection_idle_ms': IDLE_MS,
    'grpc.enable_channelz': 0,
  });
  server.addService(services.streams, new LogStreaming(parts, services.streams).methods(calls));
  server.addService(services.handlers, new HandlerLogs(parts, services.handlers).methods(calls));
  const sessions = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = new Listener({
    tls,
    maxConnections: Math.ceil(1.5 * config.maxConnections),
    onConnection: (socket) => sessions.injectConnection(socket),
  });
  return {
    start: async () => {
      const hosts = hostsOf(config);
      const found = await listener.listen(hosts, port);
      const url = listenUrl({ host: hosts[0], port: found }, { tls: tls !== undefined });
      log.info({ url }, 'gRPC is served');
      return found;
    },
    stop: async () => {
      listener.stop();
      const impatient = new AbortController();
      try {
        // Of a store that stands still: what it was given is waited for where the senders stop.
        await Promise.race([
          calls.stop(),
          delay(parts.stopPatienceMs ?? STOP_PATIENCE_MS, undefined, { signal: impatient.signal }),
        ]);
      } finally {
        impatient.abort();
        sessions.destroy();
        server.forceShutdown();
        listener.cut();
      }
    },
    connections: () => calls.streams,
  };
}

export interface GrpcServer {
  /** Listens; answers the port. Rejects with an Error that says why it can't be had. */
  start(): Promise<number>;
  /** Ends all streams, once what has come is answered. */
  stop(): Promise<void>;
  /** Streams that are open. */
  connections(): number;
}

/** Where HTTP listens, too, so that whoever may not reach the one reaches neither. */
function hostsOf(config: RelayConfig): string[] {
  const hosts = listenAddresses(config).flatMap((address) => ('host' in address ? [address.host] : []));
  return hosts.length === 0 ? [config.host] : [...new Set(hosts)];
}

/** Of one connection at once: the workers of a large handler. */
const MAX_STREAMS = 1000;
/** A peer that has said nothing for so long is asked, and is gone if it does not answer. */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** Connections without a call. */
const IDLE_MS = 10 * 60 * 1000;
/** For what was received to be stored and answered: a little more than a store may take for a write. */
const STOP_PATIENCE_MS = 12_000;
