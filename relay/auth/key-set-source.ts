import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { FileWatch } from '../file-watch.ts';
import { isLocal } from '../listen-address.ts';
import { KeySet } from './key-set.ts';

/** A key set, and the end of what keeps it new. */
export interface OpenKeySet {
  keys: KeySet;
  /** Looks now whether a file has changed, instead of within a second. */
  refresh: () => Promise<void>;
  stop: () => Promise<void>;
}

/**
 * The key set at `place`: an https:// URL, asked again every 10 minutes, or a file, read again when it changes. A URL
 * need not answer yet; a file that can't be used rejects with an Error that names it.
 */
export async function openKeySet(place: string, log: Pick<Logger, 'warn' | 'info'>): Promise<OpenKeySet> {
  const onProblem = (error: Error): void => log.warn({ err: error, place }, 'the keys of tokens could not be loaded');
  if (/^https?:\/\//.test(place)) {
    if (place.startsWith('http:') && !isLocal({ host: new URL(place).hostname.replaceAll(/[[\]]/g, ''), port: 0 })) {
      log.warn({ place }, 'whoever is between here and there can make tokens of their own: use https');
    }
    const keys = new KeySet({ read: () => fetchText(place), freshMs: FRESH_MS, onProblem });
    return { keys, refresh: () => Promise.resolve(), stop: () => Promise.resolve() };
  }
  let failing = false;
  const keys = new KeySet({
    read: () => readFile(place, 'utf8'),
    freshMs: Infinity,
    onProblem: (error) => {
      if (!failing) onProblem(error);
      failing = true;
    },
  });
  const watch = new FileWatch({
    paths: [place],
    onChange: async () => {
      await keys.load();
      failing = false;
      log.info({ place }, 'the keys of tokens have changed');
    },
    onProblem: () => undefined, // Said above; the old ones stay.
  });
  await watch.start();
  try {
    await keys.load();
  } catch (error) {
    await watch.stop();
    const why = ((error as Error).cause as Error).message;
    throw new Error(`the JWKS file ${place} can't be used: ${why}`, { cause: error });
  }
  return { keys, refresh: () => watch.look(), stop: () => watch.stop() };
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new Error(`the JWKS at ${url} answers HTTP ${response.status}`);
  }
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += (part as Uint8Array).byteLength;
    if (bytes > MAX_BYTES) throw new Error(`the JWKS at ${url} is larger than ${MAX_BYTES} bytes`);
    parts.push(part as Uint8Array);
  }
  return Buffer.concat(parts).toString();
}

const FRESH_MS = 10 * 60 * 1000;
const FETCH_TIMEOUT_MS = 5000;
const MAX_BYTES = 512 * 1024;
