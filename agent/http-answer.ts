import type { IncomingMessage } from 'node:http';
import type { HttpRefusal } from './uplink-refusal.ts';

/** What answered instead of a WebSocket. */
export async function readRefusal(response: IncomingMessage): Promise<HttpRefusal> {
  let body = '';
  try {
    for await (const part of response.setEncoding('utf8')) {
      body += part as string;
      if (body.length > MAX_BODY_CHARACTERS) break;
    }
  } catch {
    // The status says enough.
  }
  const retryAfter = response.headers['retry-after'];
  return { status: response.statusCode ?? 0, body, ...(retryAfter !== undefined && { retryAfter }) };
}

const MAX_BODY_CHARACTERS = 8192;
