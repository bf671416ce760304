import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Entrance } from './contract.ts';

/** Asks a relay as an admin: what it answered as JSON. Rejects if that is no success, or takes 5 s. */
export function ask(entrance: Entrance, { method, path }: { method: string; path: string }): Promise<unknown> {
  const { url, ca, tokens } = entrance;
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), {
      method,
      ca,
      agent: false,
      headers: tokens && { authorization: `Bearer ${tokens.admin}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    asked.once('error', reject);
    asked.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text += part));
      response.once('error', reject);
      response.once('end', () => {
        if (response.statusCode !== 200) reject(new Error(`${method} ${path}: HTTP ${response.statusCode}: ${text}`));
        else resolve(JSON.parse(text));
      });
    });
    asked.end();
  });
}

const PATIENCE_MS = 5000;
