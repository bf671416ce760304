import { ERRORS, mayRetry } from '../shared/errors.ts';
import type { Closing } from './uplink-connection.ts';

/** What a relay's words mean for the agent: whether to come back, and a sentence that says what is wrong. */

/** The upgrade was answered by HTTP. `body`: the beginning of the answer. */
export function refusedUpgrade(url: string, status: number, body: string): Closing {
  const said = relayMessage(body);
  const kind = Object.values(ERRORS).find((error) => error.status === status);
  const what = UPGRADE_PROBLEMS[status] ?? `answered HTTP ${status}`;
  // A proxy in front of a relay that is just starting says 404 or 502; only what the relay itself means is final.
  const retry = said === undefined ? !FINAL_STATUSES.has(status) : !(FINAL_STATUSES.has(status) || status === 404);
  return { retry, problem: sentence(url, what, said, said === undefined ? undefined : kind?.hint) };
}

/** The connection was closed, by either side or by nobody (1006). */
export function closedConnection(url: string, code: number, reason: string): Closing {
  const kind = Object.values(ERRORS).find((error) => error.close === code);
  const what = code === 1006 ? 'is gone: the connection broke' : `closed the connection (${code})`;
  return {
    retry: mayRetry(code),
    problem: sentence(url, what, reason || undefined, mayRetry(code) ? undefined : kind?.hint),
  };
}

/** The connection could not be opened, or broke with an error. */
export function brokenConnection(url: string, error: Error & { code?: string }): Closing {
  const what = /subprotocol/i.test(error.message)
    ? 'is no keruta relay of this version: it does not speak keruta.chunk.v1'
    : `can't be reached (${error.message || (error.code ?? error.name)})`;
  return { retry: true, problem: sentence(url, what) };
}

const UPGRADE_PROBLEMS: Partial<Record<number, string>> = {
  200: 'is no keruta relay: it answers HTTP 200 and opens no WebSocket',
  401: 'wants a token that it knows (HTTP 401)',
  403: 'does not allow this token to write (HTTP 403)',
  404: 'has nothing at this path (HTTP 404); is the URL right?',
  426: 'speaks another protocol version (HTTP 426)',
};

const FINAL_STATUSES = new Set([400, 401, 403, 405, 426]);

function sentence(url: string, what: string, said?: string, hint?: string): string {
  const parts = [`the relay at ${url} ${what}`, said, hint].filter((part) => part !== undefined);
  return parts.map((part) => part.replace(/\.$/, '')).join(': ');
}

/** The message of an error in the relay's shape; undefined if someone else answered. */
function relayMessage(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown } };
    return typeof error?.message === 'string' ? error.message : undefined;
  } catch {
    return undefined;
  }
}
