import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { Logger } from 'pino';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { FileWatch } from './file-watch.ts';

/** The TLS that a configuration asks for. Rejects with a UsageError for a half of it, else as `TlsFiles.open` does. */
export async function openTls(config: TlsConfig, log: TlsFilesOptions['log']): Promise<TlsFiles | undefined> {
  const { tlsCert: certPath, tlsKey: keyPath, tlsClientCa: clientCaPath, tlsClientAuth: clientAuth } = config;
  if (certPath === undefined && keyPath === undefined && clientCaPath === undefined) return undefined;
  if (certPath === undefined || keyPath === undefined) {
    const missing = certPath === undefined ? '--tls-cert (relay.tls.cert)' : '--tls-key (relay.tls.key)';
    throw new UsageError(`TLS takes a certificate and its key: ${missing} is missing`);
  }
  return await TlsFiles.open({ certPath, keyPath, clientCaPath, clientAuth, log });
}

type TlsConfig = Pick<RelayConfig, 'tlsCert' | 'tlsKey' | 'tlsClientCa' | 'tlsClientAuth'>;

/** The certificate, key and client CA of the relay's servers, read again when they change. */
export class TlsFiles {
  readonly #options: TlsFilesOptions;
  readonly #watch: FileWatch;
  readonly #takers = new Set<(context: SecureContextOptions) => void>();
  #context: SecureContextOptions = {};

  private constructor(options: TlsFilesOptions) {
    this.#options = options;
    const { certPath, keyPath, clientCaPath } = options;
    const paths = [certPath, keyPath, clientCaPath].filter((path) => path !== undefined);
    this.#watch = new FileWatch({
      paths,
      onChange: () => this.#reload(),
      onProblem: (error) => options.log.error({ err: error }, 'the TLS certificate stays as it was'),
    });
  }

  /** Rejects with an Error that names the file that can't be used. */
  static async open(options: TlsFilesOptions): Promise<TlsFiles> {
    const files = new TlsFiles(options);
    await files.#watch.start();
    try {
      files.#context = await read(options);
    } catch (error) {
      await files.stop();
      throw error;
    }
    return files;
  }

  async stop(): Promise<void> {
    await this.#watch.stop();
  }

  /** Looks at the files now instead of within a second. */
  refresh(): Promise<void> {
    return this.#watch.look();
  }

  /** For a new server. */
  get serverOptions(): TlsOptions {
    const { clientCaPath, clientAuth } = this.#options;
    return {
      ...this.#context,
      requestCert: clientCaPath !== undefined,
      rejectUnauthorized: clientCaPath !== undefined && clientAuth === 'require',
    };
  }

  /** Tells `take` of new files, until the function that is answered is called. Connections that are there stay. */
  keep(take: (context: SecureContextOptions) => void): () => void {
    this.#takers.add(take);
    return () => this.#takers.delete(take);
  }

  async #reload(): Promise<void> {
    this.#context = await read(this.#options);
    for (const take of this.#takers) take(this.#context);
    this.#options.log.info({ file: this.#options.certPath }, 'the TLS certificate has changed');
  }
}

export interface TlsFilesOptions {
  /** PEM, the certificate first, then those between it and its root. */
  certPath: string;
  keyPath: string;
  /** Whose signature client certificates need. */
  clientCaPath?: string;
  /** Whether connections without such a certificate are refused, or only known by their tokens. */
  clientAuth: 'require' | 'request';
  log: Pick<Logger, 'info' | 'error'>;
}

async function read({ certPath, keyPath, clientCaPath }: TlsFilesOptions): Promise<SecureContextOptions> {
  const cert = await readPem(certPath, 'certificate');
  const key = await readPem(keyPath, 'key');
  const ca = clientCaPath === undefined ? undefined : await readPem(clientCaPath, 'client CA');
  const context: SecureContextOptions = { cert, key, ca, minVersion: 'TLSv1.2' };
  try {
    createSecureContext(context);
  } catch (error) {
    const why = (error as Error).message;
    const files = [certPath, keyPath, clientCaPath].filter((path) => path !== undefined).join(', ');
    throw new Error(`the TLS files ${files} can't be used together: ${why}`, { cause: error });
  }
  return context;
}

async function readPem(path: string, what: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`the TLS ${what} ${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes('-----BEGIN ')) throw new Error(`the TLS ${what} ${path} is not PEM`);
  return text;
}
