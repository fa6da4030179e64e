/** Finds the interface that the operator named, and what its packets may measure. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Failure } from '../../failure.js';
import { BLOCK_HEADER_BYTES } from '../../protocol/block.js';
import { LARGEST_PACKET_BYTES } from '../../protocol/packet.js';
import { isIPv6Address } from './family.js';

export interface ChosenInterface {
  /** For messages: its name, or 'default'. */
  label: string;
  /** For `setMulticastInterface` and `addMembership`; undefined lets the system choose. */
  multicastAddress: string | undefined;
  mtuBytes: number;
}

const IPV4_HEADERS_BYTES = 28;
const IPV6_HEADERS_BYTES = 48;
const USUAL_MTU_BYTES = 1500;
/** Beyond jumbo frames nothing is gained, and a train still needs a few packets. */
const LARGEST_AUTO_MTU_BYTES = 9000;

/**
 * @param wanted name or address; undefined leaves the choice to the system's routes
 * @throws Failure when there is no such interface
 */
export function chooseInterface(wanted: string | undefined, group: string): ChosenInterface {
  const isV6 = isIPv6Address(group);
  if (wanted === undefined) {
    const name = defaultRouteInterface();
    const mtuBytes = name === undefined ? USUAL_MTU_BYTES : mtuOf(name);
    return { label: 'default', multicastAddress: undefined, mtuBytes };
  }
  const all = networkInterfaces();
  const [bareWanted] = wanted.split('%');
  for (const [name, addresses] of Object.entries(all)) {
    const isNamed =
      name === wanted || addresses?.some((entry) => entry.address === bareWanted) === true;
    if (!isNamed) continue;
    if (isV6) return { label: name, multicastAddress: `::%${name}`, mtuBytes: mtuOf(name) };
    const named = addresses?.find((entry) => entry.address === wanted && entry.family === 'IPv4');
    const usable = named ?? addresses?.find((entry) => entry.family === 'IPv4');
    if (usable === undefined) {
      throw new Failure(
        'network',
        'NO_ADDRESS',
        `interface ${name} has no IPv4 address; give it one, or use an IPv6 group (-g ff15::e100)`,
      );
    }
    return { label: name, multicastAddress: usable.address, mtuBytes: mtuOf(name) };
  }
  throw new Failure(
    'network',
    'NO_INTERFACE',
    `no interface ${wanted} is up with an address; there are: ${Object.keys(all).join(', ')}`,
  );
}

/** Interface of the default route, which multicast without a route of its own takes. */
function defaultRouteInterface(): string | undefined {
  try {
    for (const line of readFileSync('/proc/net/route', 'utf8').split('\n').slice(1)) {
      const [name, destination] = line.split('\t');
      if (destination === '00000000') return name;
    }
  } catch {
    // Not Linux, or no IPv4.
  }
  return undefined;
}

function mtuOf(name: string): number {
  try {
    const mtu = Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8'));
    if (Number.isInteger(mtu) && mtu > 0) return mtu;
  } catch {
    // Other systems: the usual size always passes.
  }
  return USUAL_MTU_BYTES;
}

/** Payload of a block packet that fills packets of the given MTU. */
export function blockSizeFor(mtu: number | 'auto', chosen: ChosenInterface, group: string): number {
  const mtuBytes = mtu === 'auto' ? Math.min(chosen.mtuBytes, LARGEST_AUTO_MTU_BYTES) : mtu;
  const headersBytes = isIPv6Address(group) ? IPV6_HEADERS_BYTES : IPV4_HEADERS_BYTES;
  return Math.min(mtuBytes - headersBytes, LARGEST_PACKET_BYTES) - BLOCK_HEADER_BYTES;
}
