import type { Logger } from 'pino';
import type { RelayConfig } from '../../shared/options/relay-options.ts';
import { listenAddresses, type ListenAddress } from '../listen-address.ts';
import type { Parts } from '../parts.ts';
import { openTls, type TlsFiles } from '../tls.ts';
import type { Auth } from './auth.ts';
import { TrustedProxies } from './client-address.ts';
import { Door } from './door.ts';
import { refuseExposure } from './exposure.ts';
import { Failures } from './failures.ts';
import { openAuth } from './open-auth.ts';
import { Origins } from './origins.ts';
import { Sessions } from './sessions.ts';

/** All that decides who gets in, and where they may knock. */
export interface Entrance {
  auth: Auth;
  door: Door;
  sessions: Sessions;
  listen: ListenAddress[];
  tls: TlsFiles | undefined;
}

/**
 * Reads keys and certificates, and watches them from then on. Rejects with a UsageError that says what is missing, also
 * if the relay would be open to a network without anybody having said so.
 */
export async function openEntrance(config: RelayConfig, log: Logger, parts: Parts): Promise<Entrance> {
  const { auth, stop: stopAuth } = await openAuth(config, log);
  parts.started(stopAuth);
  const listen = listenAddresses(config);
  const openToAll = config.insecureOpen;
  refuseExposure({ listen, authRequired: auth.required, openToAll });
  const tls = await openTls(config, log);
  if (tls !== undefined) parts.started(() => tls.stop());
  const sessions = new Sessions();
  sessions.start();
  parts.started(() => sessions.stop());
  const door = new Door({
    auth,
    origins: new Origins(config.corsOrigins),
    proxies: new TrustedProxies(config.trustProxy),
    failures: new Failures(config.authFailuresPerMinute),
    certificateScopes: config.tlsClientScopes,
    openToAll,
  });
  return { auth, door, sessions, listen, tls };
}
