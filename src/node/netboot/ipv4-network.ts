/** The IPv4 network of an interface, and which addresses lie in it. */
import { networkInterfaces } from 'node:os';
import { Failure } from '../../failure.js';

interface Ipv4Network {
  address: string;
  netmask: string;
  prefixLength: number;
}

/** @throws Failure when the interface has no IPv4 address */
export function ipv4NetworkOf(label: string): Ipv4Network {
  const entry = networkInterfaces()[label]?.find(({ family }) => family === 'IPv4');
  if (entry === undefined) {
    const text = `interface ${label} has no IPv4 address, and machines start by IPv4: give it one`;
    throw new Failure('network', 'NOT_READY', text);
  }
  const { address, netmask } = entry;
  const bits = numberOf(netmask).toString(2);
  return { address, netmask, prefixLength: bits === '0' ? 0 : bits.replaceAll('0', '').length };
}

/** @param address of four numbers with dots */
function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** @throws Failure when these cannot be given to machines there */
export function refuseRange(
  [first, last]: readonly [string, string],
  { address, prefixLength }: Ipv4Network,
  label: string,
): void {
  const sizeOfNetwork = 2 ** (32 - prefixLength);
  const networkOf = (number: number): number => Math.floor(number / sizeOfNetwork);
  const [from, to, own] = [first, last, address].map(numberOf) as [number, number, number];
  const isInside = [from, to].every((number) => networkOf(number) === networkOf(own));
  if (isInside && (own < from || own > to)) return;
  const trouble = isInside
    ? `holds this host's own address, ${address}`
    : `does not lie in the network of interface ${label}, ${address}/${prefixLength}`;
  const text = `--netboot-dhcp ${first},${last} ${trouble}; give other addresses`;
  throw new Failure('network', 'BAD_RANGE', text);
}
