/** Which interface the system's routes lead to, from /proc. */
import { readFileSync } from 'node:fs';
import { isIPv6Address } from './family.js';

/**
 * The interface by which packets to an address leave; undefined without a route, or elsewhere than
 * on Linux.
 */
export function interfaceTowards(address: string): string | undefined {
  try {
    return isIPv6Address(address) ? towards6(address) : towards4(address);
  } catch {
    return undefined;
  }
}

/** `/proc/net/route`: destination and mask as hex numbers whose last byte comes first. */
function towards4(address: string): string | undefined {
  const bytes = address.split('.').map(Number);
  const wanted = Buffer.from(bytes).readUInt32LE();
  let best: { name: string; prefix: number; metric: number } | undefined;
  for (const line of readFileSync('/proc/net/route', 'utf8').split('\n').slice(1)) {
    const [name, destination, , , , , metric, mask] = line.trim().split(/\s+/);
    if (name === undefined || destination === undefined || mask === undefined) continue;
    const maskBits = Number.parseInt(mask, 16);
    if (((wanted & maskBits) ^ Number.parseInt(destination, 16)) >>> 0 !== 0) continue;
    const route = { name, prefix: bitCount(maskBits), metric: Number(metric) };
    const isBetter =
      best === undefined ||
      route.prefix > best.prefix ||
      (route.prefix === best.prefix && route.metric < best.metric);
    if (isBetter) best = route;
  }
  return best?.name;
}

/** `/proc/net/ipv6_route`: destination, prefix length, ..., metric, ..., interface. */
function towards6(address: string): string | undefined {
  const wanted = Number.parseInt(address.split(':')[0] || '0', 16);
  let best: { name: string; prefix: number; metric: number } | undefined;
  for (const line of readFileSync('/proc/net/ipv6_route', 'utf8').split('\n')) {
    const words = line.trim().split(/\s+/);
    const name = words[9];
    if (name === undefined || name === 'lo') continue;
    const prefix = Number.parseInt(words[1]!, 16);
    const first = Number.parseInt(words[0]!.slice(0, 4), 16);
    // Of multicast, the first bytes decide: ff00::/8.
    const shift = Math.max(0, 16 - prefix);
    if (prefix > 16 || first >>> shift !== wanted >>> shift) continue;
    const route = { name, prefix, metric: Number.parseInt(words[5]!, 16) };
    const isBetter =
      best === undefined ||
      route.prefix > best.prefix ||
      (route.prefix === best.prefix && route.metric < best.metric);
    if (isBetter) best = route;
  }
  return best?.name;
}

function bitCount(bits: number): number {
  let count = 0;
  for (let left = bits >>> 0; left !== 0; left >>>= 1) count += left & 1;
  return count;
}
