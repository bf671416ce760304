import ipaddr from 'ipaddr.js';

/**
 * What stands for a client address in limits: an IPv4 address itself, of IPv6 the /64, which is the least that anybody
 * gets, and holds more addresses than could be counted.
 */
export function addressKey(address: string): string {
  if (!address.includes(':') || !ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (!('parts' in parsed)) return parsed.toString();
  return `${parsed.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
