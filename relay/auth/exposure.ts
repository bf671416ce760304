import { UsageError } from '../../shared/options/usage-error.ts';
import { isLocal, listenText, type ListenAddress } from '../listen-address.ts';

/**
 * Without authentication, only this machine is let in. Throws a UsageError that names the ways out if the relay would
 * listen elsewhere and nobody has said that it shall be open.
 */
export function refuseExposure({ listen, authRequired, openToAll }: Exposure): void {
  const exposed = listen.find((address) => !isLocal(address));
  if (exposed === undefined || authRequired || openToAll) return;
  throw new UsageError(
    `without authentication, whoever reaches ${listenText(exposed)} could read and write all logs: configure it ` +
      '(KERUTA_RELAY_AUTH_TOKENS, keruta-relay keys create, KERUTA_RELAY_JWT_SECRET or --jwks), ' +
      'or say --insecure-open if that is meant',
  );
}

/** Whether the relay is open to whoever reaches it over a network. */
export function isExposed(exposure: Exposure): boolean {
  return exposure.openToAll && !exposure.authRequired && exposure.listen.some((address) => !isLocal(address));
}

export interface Exposure {
  listen: readonly ListenAddress[];
  authRequired: boolean;
  openToAll: boolean;
}
