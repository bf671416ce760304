import type { AgentConfig } from '../shared/options/agent-options.ts';
import { inTime } from './in-time.ts';

export type CredentialOptions = Partial<Pick<AgentConfig, 'authToken' | 'authTokenFile' | 'apiKey' | 'authType'>>;

/** What the agent shows to a relay to be let in. */
export class Credentials {
  readonly #options: CredentialOptions;
  /** Of the token's file, under way: a disk that hangs holds one thread, and not one for each attempt. */
  #reading: Promise<string> | undefined;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /**
   * The headers of a request. A token's file is read anew each time: what mounts it may have put another token there.
   * Rejects with an Error that names the file and holds nothing of what is in it, after `timeoutMs` at the latest.
   */
  async headers(timeoutMs: number): Promise<Record<string, string>> {
    const { authToken, authTokenFile, apiKey, authType = 'bearer' } = this.#options;
    const given = authType === 'api-key' ? (apiKey ?? authToken) : (authToken ?? apiKey);
    const secret = authTokenFile === undefined ? given : await this.#token(authTokenFile, timeoutMs);
    if (secret === undefined) return {};
    return authType === 'api-key' ? { 'X-API-Key': secret } : { Authorization: `Bearer ${secret}` };
  }

  async #token(path: string, timeoutMs: number): Promise<string> {
    this.#reading ??= readToken(path).finally(() => (this.#reading = undefined));
    return inTime(this.#reading, timeoutMs, () => {
      throw new Error(`the token's file ${path} takes too long to be read`);
    });
  }
}

/** The token in a file. Rejects with an Error that names the file and holds nothing of what is in it. */
export async function readToken(path: string): Promise<string> {
  const token = (await readText(path)).trim();
  if (token === '') throw new Error(`the token's file ${path} is empty`);
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error(`the token's file ${path} holds something that is no token`);
  return token;
}

async function readText(path: string): Promise<string> {
  // Loaded by those only who have a file.
  const { readFile, stat } = await import('node:fs/promises');
  try {
    const found = await stat(path);
    // Whoever opens a pipe waits for somebody to write it.
    if (!found.isFile()) throw new Error('it is no file');
    if (found.size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`the token's file ${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
}

/** More than a server takes of headers. */
const MAX_FILE_BYTES = 16 * 1024;
