/** The IPv4 network of an interface, and which addresses lie in it. */
import { networkInterfaces } from 'node:os';
import { Failure } from '../../failure.js';

interface Ipv4Network {
  address: string;
  netmask: string;
  prefixLength: number;
}

/**
 * The network of the interface in which machines are to start.
 * @param wanted what the operator named the interface by: one of its addresses, maybe
 * @param range addresses to give; null for none
 * @throws Failure when the interface has no IPv4 address, or several and nothing tells which
 */
export function ipv4NetworkOf(
  label: string,
  wanted: string | undefined,
  range: readonly [string, string] | null,
): Ipv4Network {
  const entries = networkInterfaces()[label]?.filter(({ family }) => family === 'IPv4') ?? [];
  const networks = entries.map(({ address, netmask }) => ({
    address,
    netmask,
    prefixLength: prefixLengthOf(netmask),
  }));
  const named = networks.find(({ address }) => address === wanted);
  const fitting = networks.filter((network) => range === null || holds(network, range));
  const [first] = fitting.length > 0 ? fitting : networks;
  if (first === undefined) {
    const text = `interface ${label} has no IPv4 address, and machines start by IPv4: give it one`;
    throw new Failure('network', 'NOT_READY', text);
  }
  if (named !== undefined) return named;
  if (networks.every((network) => holds(network, [first.address, first.address]))) return first;
  if (range !== null && fitting.length === 1) return first;
  const addresses = networks.map(({ address }) => address).join(', ');
  const text =
    `interface ${label} is in several networks (${addresses}); name the address in that of the ` +
    `machines with -i`;
  throw new Failure('network', 'SEVERAL_NETWORKS', text);
}

function prefixLengthOf(netmask: string): number {
  const bits = numberOf(netmask).toString(2);
  return bits === '0' ? 0 : bits.replaceAll('0', '').length;
}

/** @param address of four numbers with dots */
function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function holds({ address, prefixLength }: Ipv4Network, range: readonly string[]): boolean {
  const sizeOfNetwork = 2 ** (32 - prefixLength);
  const networkOf = (one: string): number => Math.floor(numberOf(one) / sizeOfNetwork);
  return range.every((one) => networkOf(one) === networkOf(address));
}

/** @throws Failure when these cannot be given to machines there */
export function refuseRange(
  [first, last]: readonly [string, string],
  network: Ipv4Network,
  label: string,
): void {
  const { address, prefixLength } = network;
  const isInside = holds(network, [first, last]);
  const [from, to, own] = [first, last, address].map(numberOf) as [number, number, number];
  if (isInside && (own < from || own > to)) return;
  const trouble = isInside
    ? `holds this host's own address, ${address}`
    : `does not lie in the network of interface ${label}, ${address}/${prefixLength}`;
  const text = `--netboot-dhcp ${first},${last} ${trouble}; give other addresses`;
  throw new Failure('network', 'BAD_RANGE', text);
}
