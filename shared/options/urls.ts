import { ValueError, type Kind, type Raw } from './option.ts';

const WEBSOCKET_PATH = '/ws/tasks';
const API_PATH = '/api/v1';

/** Where agents and viewers connect; the task id is appended. Without a path it gets the usual one. */
export function websocketUrl(): Kind<string> {
  return urlKind(['ws', 'wss'], 'ws://localhost:8080/ws/tasks', (path) => (path === '' ? WEBSOCKET_PATH : path));
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

function urlKind(schemes: readonly string[], example: string, complete: (path: string) => string): Kind<string> {
  return {
    placeholder: 'URL',
    example,
    print: String,
    read(raw: Raw) {
      const url = typeof raw === 'string' && URL.canParse(raw.trim()) ? new URL(raw.trim()) : undefined;
      if (!url || !schemes.includes(url.protocol.slice(0, -1)) || url.host === '') {
        throw new ValueError(`is not a URL that begins with ${schemes.map((one) => `${one}://`).join(' or ')}`);
      }
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
