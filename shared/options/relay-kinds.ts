import { isIP, isIPv6 } from 'node:net';
import { path, text } from './kinds.ts';
import { ValueError, type Kind, type Raw } from './option.ts';
import { url, withoutSecrets } from './urls.ts';

/** Where a relay listens: `host:port`, `[::1]:port`, `unix:/path`. */
export function listenAddress(): Kind<string> {
  return text('ADDRESS', '0.0.0.0:8080', (value) => {
    if (/^unix:\/./.test(value)) return undefined;
    const found = /^(?:\[([^\]]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(value) ?? [];
    const [, ipv6, name, port] = found as (string | undefined)[];
    const right = (ipv6 === undefined ? name !== undefined : isIPv6(ipv6)) && Number(port) <= 65_535;
    return right ? undefined : 'is none of host:port, [IPv6]:port and unix:/path';
  });
}

/** The shared secret of HS256. What surrounds it, as the newline at the end of a secret's file, is dropped. */
export function jwtSecret(): Kind<string> {
  return {
    placeholder: 'SECRET',
    example: 'what `openssl rand -base64 32` prints',
    print: String,
    read(raw) {
      if (typeof raw !== 'string') throw new ValueError('is a list or a mapping; it takes one value');
      const bytes = Buffer.byteLength(raw.trim());
      if (bytes < MIN_SECRET_BYTES) {
        throw new ValueError(`has ${bytes} bytes; a secret that can't be guessed has ${MIN_SECRET_BYTES} or more`);
      }
      return raw.trim();
    },
  };
}

/** A URL or a file. */
export function jwksPlace(): Kind<string> {
  const example = 'https://login.example.com/jwks.json';
  const file = path(example);
  const address = url(['https', 'http'], example);
  const isAddress = (value: Raw) => typeof value === 'string' && /^\w+:\/\//.test(value);
  return {
    placeholder: 'URL_OR_PATH',
    example,
    print: String,
    show: (value) => (isAddress(value) ? withoutSecrets(value) : value),
    read(raw) {
      const value = isAddress(raw) ? address.read(raw) : file.read(raw);
      if (!isAddress(raw) || (new URL(value).username === '' && new URL(value).password === '')) return value;
      throw new ValueError('holds a user or password', { secret: true });
    },
  };
}

/** A web page's origin as browsers tell it, or `*`. */
export function webOrigin(): Kind<string> {
  return text('ORIGIN', 'https://logs.example.com', (value) => {
    if (value === '*') return undefined;
    const origin = /^https?:\/\//.test(value) && URL.canParse(value) ? new URL(value).origin : undefined;
    if (origin === value) return undefined;
    return origin === undefined ? 'is no origin of web pages' : `is more than an origin: ${origin} is one`;
  });
}

/** An address, a range of addresses, or `unix`. */
export function cidr(): Kind<string> {
  return text('RANGE', '10.0.0.0/8', (value) => {
    if (value === 'unix') return undefined;
    const [address = '', bits, ...more] = value.split('/') as (string | undefined)[];
    const most = { 4: 32, 6: 128 }[isIP(address)];
    const right = most !== undefined && more.length === 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
    return right && Number(bits ?? 0) <= most ? undefined : 'is no address or range of addresses';
  });
}

/** As many as HS256's hash has: with fewer, the secret would be easier to find than the hash. */
const MIN_SECRET_BYTES = 32;
