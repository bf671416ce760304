import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';

/** How the agent makes sure whom it talks to, and shows who it is. Paths of PEM files. */
export interface TlsOptions {
  verifyCert?: boolean;
  /** Authorities beside those that the system knows. */
  certPath?: string;
  clientCert?: string;
  clientKey?: string;
}

/** As `tls.connect` takes it. */
export interface TlsSettings {
  rejectUnauthorized: boolean;
  ca?: string[];
  cert?: string;
  key?: string;
}

/** Reads the files, which may have been renewed since the last connection. Rejects with an Error that names the file. */
export async function tlsSettings(options: TlsOptions): Promise<TlsSettings> {
  const { verifyCert = true, certPath, clientCert, clientKey } = options;
  const [ca, cert, key] = await Promise.all([
    pem(certPath, 'CERTIFICATE', 'websocket.security.certPath'),
    pem(clientCert, 'CERTIFICATE', 'websocket.security.clientCert'),
    pem(clientKey, 'PRIVATE KEY', 'websocket.security.clientKey'),
  ]);
  return {
    rejectUnauthorized: verifyCert,
    ...(ca !== undefined && { ca: [...getCACertificates('default'), ...getCACertificates('system'), ca] }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

async function pem(path: string | undefined, kind: string, option: string): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`${option}: ${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes(`${kind}-----`))
    throw new Error(`${option}: ${path} holds no ${kind.toLowerCase()} in PEM format`);
  return text;
}
