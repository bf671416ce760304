import { readFile, stat } from 'node:fs/promises';
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
  // One after the other: a disk that hangs holds one thread of the pool.
  const ca = await pem(certPath, 'CERTIFICATE', 'websocket.security.certPath');
  const cert = await pem(clientCert, 'CERTIFICATE', 'websocket.security.clientCert');
  const key = await pem(clientKey, 'PRIVATE KEY', 'websocket.security.clientKey');
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
    // Whoever opens a pipe waits for somebody to write it, and holds a thread of the pool until then.
    if (!(await stat(path)).isFile()) throw new Error('it is no file');
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`${option}: ${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes(`${kind}-----`))
    throw new Error(`${option}: ${path} holds no ${kind.toLowerCase()} in PEM format`);
  return text;
}
