import type { Logger } from 'pino';
import type { RelayConfig } from '../../shared/options/relay-options.ts';
import { Auth } from './auth.ts';
import { JwtVerifier } from './jwt.ts';
import { KeyFile } from './key-file.ts';
import { KeyRing } from './key-ring.ts';
import { openKeySet } from './key-set-source.ts';

/** The authentication that a configuration and its data folder describe, and the end of what keeps it up to date. */
export interface OpenAuth {
  auth: Auth;
  stop: () => Promise<void>;
}

/** Rejects with an Error that names the file of keys that can't be used. */
export async function openAuth(config: AuthConfig, log: Logger): Promise<OpenAuth> {
  const keys = new KeyRing({ file: new KeyFile(config.dataDir), log });
  await keys.start();
  try {
    const keySet = config.jwks === undefined ? undefined : await openKeySet(config.jwks, log);
    const jwt =
      config.jwtSecret === undefined && keySet === undefined
        ? undefined
        : new JwtVerifier({
            secret: config.jwtSecret,
            keys: keySet?.keys,
            issuer: config.jwtIssuer,
            audience: config.jwtAudience,
            clockSkewMs: config.clockSkewMs,
          });
    const certificates = config.tlsClientCa !== undefined && config.tlsClientScopes.length > 0;
    return {
      auth: new Auth({ tokens: config.authTokens, keys, jwt, certificates }),
      stop: async () => {
        await keySet?.stop();
        await keys.stop();
      },
    };
  } catch (error) {
    await keys.stop();
    throw error;
  }
}

type AuthConfig = Pick<
  RelayConfig,
  | 'dataDir'
  | 'authTokens'
  | 'jwks'
  | 'jwtSecret'
  | 'jwtIssuer'
  | 'jwtAudience'
  | 'clockSkewMs'
  | 'tlsClientCa'
  | 'tlsClientScopes'
>;
