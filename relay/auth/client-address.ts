import ipaddr from 'ipaddr.js';

/** What a connection through a Unix socket has for an address. */
export const UNIX = 'unix';

/** Which proxies are believed when they say whom they speak for: in `X-Forwarded-For`. */
export class TrustedProxies {
  readonly #ranges: [ipaddr.IPv4 | ipaddr.IPv6, number][] = [];
  #unix = false;

  /** Addresses and ranges (`10.0.0.0/8`, `::1`), or `unix`. Throws an Error for what is none of these. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      if (range === UNIX) this.#unix = true;
      else this.#ranges.push(rangeOf(range));
    }
  }

  /**
   * The client's address: that of the connection, or if that is a trusted proxy's, the last one in the header that is
   * not. What stands before that could be anybody's invention.
   */
  clientOf(connection: string | undefined, forwardedFor: string | undefined): string {
    let address = normal(connection) ?? UNIX;
    const said = (forwardedFor ?? '').split(',');
    while (this.#trusts(address)) {
      const before = normal(said.pop());
      if (before === undefined) break;
      address = before;
    }
    return address;
  }

  #trusts(address: string): boolean {
    if (address === UNIX) return this.#unix;
    const parsed = ipaddr.parse(address);
    return this.#ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match([range, bits]));
  }
}

/** Whether an address is this machine's own. */
export function isLoopback(address: string): boolean {
  return address === UNIX || (ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback');
}

function rangeOf(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** One way to write each address: no port, no zone, IPv4 as such also where it comes inside IPv6. */
function normal(text: string | undefined): string | undefined {
  const bare = text?.trim().replace(/^\[([^\]]*)\](:\d+)?$|^([\d.]+):\d+$/, '$1$3');
  if (bare === undefined || bare.length > MAX_ADDRESS_CHARACTERS || !ipaddr.isValid(bare)) return undefined;
  return ipaddr.process(bare.replace(/%.*$/, '')).toString();
}

const MAX_ADDRESS_CHARACTERS = 64;
