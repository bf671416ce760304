import { list } from './kinds.ts';
import { ValueError, type Kind, type Raw } from './option.ts';

const WEBSOCKET_PATH = '/ws/tasks';
const API_PATH = '/api/v1';
/** Each is tried before there is a pause. */
const MAX_RELAYS = 16;

/** Where agents and viewers connect; the task id is appended. Without a path it gets the usual one. */
export function websocketUrl(): Kind<string> {
  return urlKind(['ws', 'wss'], 'ws://localhost:8080/ws/tasks', (path) => (path === '' ? WEBSOCKET_PATH : path));
}

/** One or several of them, each once. */
export function websocketUrls(): Kind<string[]> {
  const urls = list(websocketUrl(), ',');
  return {
    ...urls,
    read(raw) {
      // A flag that is given twice may name several each time.
      const all = [...new Set(urls.read(Array.isArray(raw) ? raw.join(',') : raw))];
      if (all.length === 0) throw new ValueError('names no relay');
      if (all.length > MAX_RELAYS) throw new ValueError(`names ${all.length} relays; ${MAX_RELAYS} are allowed`);
      return all;
    },
  };
}

/** Where the REST interface is; with or without `/api/v1`. */
export function apiUrl(): Kind<string> {
  const whole = (path: string) => (path.endsWith(API_PATH) ? path : path + API_PATH);
  return urlKind(['http', 'https'], 'http://localhost:8080', whole);
}

/** The REST interface of the relay that has this WebSocket address. */
export function apiUrlOf(websocket: string): string {
  return sibling(websocket, WEBSOCKET_PATH, API_PATH);
}

/** The WebSocket address of the relay that has this REST interface. */
export function websocketUrlOf(api: string): string {
  return sibling(api, API_PATH, WEBSOCKET_PATH);
}

function sibling(from: string, fromPath: string, toPath: string): string {
  const url = new URL(from);
  const prefix = url.pathname.endsWith(fromPath) ? url.pathname.slice(0, -fromPath.length) : '';
  const schemes: Record<string, string> = { 'ws:': 'http:', 'wss:': 'https:', 'http:': 'ws:', 'https:': 'wss:' };
  return `${schemes[url.protocol]}//${url.host}${prefix}${toPath}`;
}

/** Any address of these schemes. It may hold a password or a key, which `config` and errors don't show. */
export function url(schemes: readonly string[], example: string): Kind<string> {
  return {
    placeholder: 'URL',
    example,
    print: String,
    show: withoutSecrets,
    read: (raw) => parsed(raw, schemes).href,
  };
}

/** The URL with its password and what stands in its query and fragment replaced. */
export function withoutSecrets(address: string): string {
  const shown = new URL(address);
  if (shown.password !== '') shown.password = '***';
  // A user without a password is often a token.
  else if (shown.username !== '') shown.username = '***';
  if (shown.search !== '') shown.search = '***';
  if (shown.hash !== '') shown.hash = '***';
  return shown.href;
}

function urlKind(schemes: readonly string[], example: string, complete: (path: string) => string): Kind<string> {
  return {
    placeholder: 'URL',
    example,
    print: String,
    read(raw: Raw) {
      const url = parsed(raw, schemes);
      // It is recorded and shown; secrets have their own options.
      if (url.username !== '' || url.password !== '') {
        throw new ValueError('holds a user or password; give a token with KERUTA_AUTH_TOKEN instead', { secret: true });
      }
      if (url.search !== '' || url.hash !== '')
        throw new ValueError('has a query or a fragment; it takes neither', { secret: true });
      return `${url.protocol}//${url.host}${complete(url.pathname.replace(/\/+$/, ''))}`;
    },
  };
}

function parsed(raw: Raw, schemes: readonly string[]): URL {
  const text = typeof raw === 'string' ? raw.trim() : '';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && schemes.includes(url.protocol.slice(0, -1)) && url.host !== '') return url;
  // What it was meant to be may hold a password.
  const secret = /[@?]/.test(text);
  throw new ValueError(`is not a URL that begins with ${schemes.map((one) => `${one}://`).join(' or ')}`, { secret });
}
