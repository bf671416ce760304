import { withoutSecrets } from '../shared/options/urls.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for an address: HTTPS_PROXY for wss and https, HTTP_PROXY for ws and http, else
 * ALL_PROXY, unless NO_PROXY lists its host. Names may be lower case, which counts more. This machine itself is never
 * reached through a proxy. Throws an Error for a proxy that can't be used, which holds no password.
 */
export function proxyFor(address: string, env: Environment): URL | undefined {
  const { protocol, hostname, port } = new URL(address);
  const secure = protocol === 'wss:' || protocol === 'https:';
  const name = secure ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const given = variable(env, name) ?? variable(env, 'ALL_PROXY');
  if (given === undefined || isLoopback(hostname)) return undefined;
  const target = { host: bare(hostname), port: port === '' ? (secure ? '443' : '80') : port };
  if (exceptions(variable(env, 'NO_PROXY') ?? '').some((pattern) => matches(target, pattern))) return undefined;
  return parsed(given);
}

/** A proxy's address, as it may be shown. */
export function shownProxy(proxy: URL): string {
  return withoutSecrets(proxy.href);
}

/** Whether the environment names any proxy. */
export function namesProxies(env: Environment): boolean {
  return ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].some((name) => variable(env, name) !== undefined);
}

function variable(env: Environment, name: string): string | undefined {
  const value = (env[name.toLowerCase()] ?? env[name])?.trim();
  return value === '' ? undefined : value;
}

function parsed(given: string): URL {
  // As curl reads it: a host alone is an HTTP proxy.
  const text = given.includes('://') ? given : `http://${given}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '') throw new Error('the proxy that the environment names is no URL');
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new Error(
      `the environment names a ${url.protocol.slice(0, -1)} proxy; only http and https proxies are supported`,
    );
  return url;
}

function exceptions(list: string): string[] {
  return list
    .split(/[\s,]+/)
    .map((pattern) => pattern.toLowerCase())
    .filter((pattern) => pattern !== '');
}

/** `*`, a host and all below it (`example.com`, `.example.com`, `*.example.com`), an address; each with `:port` or without. */
function matches({ host, port }: { host: string; port: string }, pattern: string): boolean {
  if (pattern === '*') return true;
  const [, name, wanted] = (/^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(pattern) ?? []) as (string | undefined)[];
  if (name === undefined || (wanted !== undefined && wanted !== port)) return false;
  const domain = bare(name).replace(/^\*?\./, '');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '').toLowerCase();
}
