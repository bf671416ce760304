import type { Auth } from './auth.ts';
import { TrustedProxies } from './client-address.ts';
import { Door, type DoorOptions } from './door.ts';
import { Failures } from './failures.ts';
import { Origins } from './origins.ts';

/** A door for a test: no proxies, no limits, no pages; and what is given. */
export function doorOf(auth: Auth, given: Partial<DoorOptions> = {}): Door {
  return new Door({
    auth,
    origins: new Origins([]),
    proxies: new TrustedProxies([]),
    failures: new Failures(0),
    certificateScopes: [],
    openToAll: false,
    ...given,
  });
}
