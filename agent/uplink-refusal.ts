import { ERRORS, mayRetry } from '../shared/errors.ts';
import { tlsProblem } from './tls-problem.ts';
import type { Closing } from './uplink-connection.ts';

/** What a relay's words mean for the agent: whether to come back, and a sentence that says what is wrong. */

/** An HTTP answer that is not the one that was asked for. */
export interface HttpRefusal {
  status: number;
  /** Its beginning. */
  body: string;
  /** The header. */
  retryAfter?: string;
}

/** The upgrade was answered by HTTP. */
export function refusedUpgrade(url: string, refusal: HttpRefusal): Closing {
  const { status } = refusal;
  const said = relayError(refusal.body);
  const closing = refused(url, refusal, UPGRADE_PROBLEMS[status] ?? `answered HTTP ${status}`);
  // Whoever answers in another way than the relay does stands between it and us.
  return { ...closing, blocked: said === undefined || said.code === 'UPGRADE_REQUIRED' };
}

/** A request was refused. */
export function refusedRequest(url: string, refusal: HttpRefusal): Closing {
  const { status } = refusal;
  return refused(url, refusal, REQUEST_PROBLEMS[status] ?? `answered HTTP ${status}`);
}

/** The connection was closed, by either side or by nobody (1006). */
export function closedConnection(url: string, code: number, reason: string): Closing {
  const kind = Object.values(ERRORS).find((error) => error.close === code);
  const what = code === 1006 ? 'is gone: the connection broke' : `closed the connection (${code})`;
  return {
    retry: mayRetry(code),
    everywhere: code === ERRORS.FENCED.close,
    problem: sentence(url, what, reason || undefined, mayRetry(code) ? undefined : kind?.hint),
  };
}

/** The connection could not be opened, or broke with an error. */
export function brokenConnection(url: string, error: Error & { code?: string }): Closing {
  const { message } = error;
  const what = /subprotocol/i.test(message)
    ? 'is no keruta relay of this version: it does not speak keruta.chunk.v1'
    : (tlsProblem(error, hostOf(url)) ?? `can't be reached (${message || (error.code ?? error.name)})`);
  return { retry: true, blocked: BLOCKED.test(`${error.code} ${message}`), problem: sentence(url, what) };
}

const UPGRADE_PROBLEMS: Partial<Record<number, string>> = {
  200: 'is no keruta relay: it answers HTTP 200 and opens no WebSocket',
  401: 'wants a token that it knows (HTTP 401)',
  403: 'does not allow this token to write (HTTP 403)',
  404: 'has nothing at this path (HTTP 404); is the URL right?',
  407: 'is behind a proxy that wants a user and a password (HTTP 407)',
  426: 'speaks another protocol version (HTTP 426)',
};

const REQUEST_PROBLEMS: Partial<Record<number, string>> = {
  ...UPGRADE_PROBLEMS,
  200: 'is no keruta relay',
  426: undefined,
};

const FINAL_STATUSES = new Set([400, 401, 403, 405, 426]);

/** What happens to an upgrade that something on the way does not know: it hangs up, is silent, or answers nonsense. */
const BLOCKED = /socket hang up|Opening handshake has timed out|Invalid (Upgrade|Sec-WebSocket-Accept) header|HPE_/;

function refused(url: string, { status, body, retryAfter }: HttpRefusal, what: string): Closing {
  const said = relayError(body);
  const known = said?.code === undefined ? undefined : (ERRORS as Partial<Record<string, Kind>>)[said.code];
  const kind = known ?? Object.values(ERRORS).find((error) => error.status === status);
  // A proxy in front of a relay that is just starting says 404 or 502; only what the relay itself means is final.
  const final = FINAL_STATUSES.has(status) || (said !== undefined && status === 404);
  return {
    retry: known?.retry ?? !final,
    everywhere: said?.code === 'FENCED',
    answered: true,
    ...retryAfterOf(retryAfter),
    problem: sentence(url, what, said?.message, said && kind?.hint),
  };
}

/** In seconds, or as a date (RFC 9110). What is neither is as if it was not there. */
function retryAfterOf(header: string | undefined): { retryAfterMs?: number } {
  if (header === undefined) return {};
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return ms > 0 ? { retryAfterMs: ms } : {};
}

function sentence(url: string, what: string, said?: string, hint?: string): string {
  const parts = [`the relay at ${url} ${what}`, said, hint].filter((part) => part !== undefined);
  return parts.map((part) => part.replace(/\.$/, '')).join(': ');
}

/** An error in the relay's shape; undefined if someone else answered. */
function relayError(body: string): { code: string | undefined; message: string } | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: { code?: unknown; message?: unknown } };
    if (typeof error?.message !== 'string') return undefined;
    return { code: typeof error.code === 'string' ? error.code : undefined, message: error.message };
  } catch {
    return undefined;
  }
}

function hostOf(url: string): string {
  // The name that stands in messages may say more than the URL.
  const [address] = url.split(' ', 1);
  return URL.canParse(address) ? new URL(address).hostname : address;
}

type Kind = (typeof ERRORS)[keyof typeof ERRORS];
