import { isIPv6 } from 'node:net';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { isLoopback } from './auth/client-address.ts';

/** Where a relay listens: a port of an address, or the path of a Unix socket. */
export type ListenAddress = { host: string; port: number } | { path: string };

/** Reads `host:port`, `[::1]:port` or `unix:/path`. Undefined if the text is none of these. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith(UNIX_PREFIX)) {
    const path = text.slice(UNIX_PREFIX.length);
    return path.startsWith('/') ? { path } : undefined;
  }
  const found = /^(?:\[([^\]]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text) ?? [];
  const [, ipv6, name, digits] = found as (string | undefined)[];
  const port = Number(digits);
  const host = ipv6 ?? name;
  if (host === undefined || port > 65_535 || (ipv6 !== undefined && !isIPv6(ipv6))) return undefined;
  return { host, port };
}

/** Where a configuration says to listen. */
export function listenAddresses({
  host,
  port,
  listen,
}: Pick<RelayConfig, 'host' | 'port' | 'listen'>): ListenAddress[] {
  if (listen.length === 0) return [{ host, port }];
  return listen.map((text) => {
    const address = parseListenAddress(text);
    if (address === undefined) throw new Error(`${JSON.stringify(text)} is no address to listen on`);
    return address;
  });
}

/** Whether only this machine can reach it. */
export function isLocal(address: ListenAddress): boolean {
  return 'path' in address || address.host.toLowerCase() === 'localhost' || isLoopback(address.host);
}

/** As people write it: `127.0.0.1:8080`, `unix:/run/keruta.sock`. */
export function listenText(address: ListenAddress): string {
  return 'path' in address ? UNIX_PREFIX + address.path : `${inUrl(address.host)}:${address.port}`;
}

/** For clients: `http://127.0.0.1:8080`, or `unix:/path`, for which there is no usual form. */
export function listenUrl(address: ListenAddress, { tls }: { tls: boolean }): string {
  return 'path' in address ? listenText(address) : `${tls ? 'https' : 'http'}://${listenText(address)}`;
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

const UNIX_PREFIX = 'unix:';
