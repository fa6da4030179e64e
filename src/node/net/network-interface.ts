/** Finds the interface that the operator named, and what its packets may measure. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../failure.js';
import { BLOCK_HEADER_BYTES } from '../../protocol/block.js';
import { MAX_PACKET_BYTES } from '../../protocol/packet.js';
import { now } from '../system/clock.js';
import { loadNative } from '../system/native.js';
import { isIPv6Address } from './family.js';
import { interfaceTowards } from './routes.js';

export interface ChosenInterface {
  /** Its name. */
  label: string;
  /** For `setMulticastInterface` and `addMembership`; undefined lets the system choose. */
  multicastAddress: string | undefined;
  mtuBytes: number;
}

/** The label where the system has no route to the group. */
export const OF_NO_ROUTE = 'of no route';

const IPV4_HEADERS_BYTES = 28;
const IPV6_HEADERS_BYTES = 48;
const USUAL_MTU_BYTES = 1500;
/** Beyond jumbo frames nothing is gained, and a train still needs a few packets. */
const MAX_AUTO_MTU_BYTES = 9000;

/**
 * @param wanted name, other name (altname) or address; undefined leaves the choice to the system's
 *   routes
 * @throws Failure when there is no such interface (`NO_INTERFACE`), or not yet (`NOT_READY`)
 */
export function chooseInterface(wanted: string | undefined, group: string): ChosenInterface {
  const isV6 = isIPv6Address(group);
  const all = networkInterfaces();
  if (wanted === undefined) {
    const name = interfaceTowards(group);
    const label = name ?? OF_NO_ROUTE;
    return { label, multicastAddress: undefined, mtuBytes: mtuOf(label) };
  }
  const name = nameOf(wanted, all);
  if (name === undefined) {
    const known = interfaceNames() ?? Object.keys(all);
    throw new Failure(
      'network',
      'NO_INTERFACE',
      `there is no interface ${wanted}; there are: ${known.join(', ')}`,
    );
  }
  refuseUnready(name);
  if (isV6) return { label: name, multicastAddress: `::%${name}`, mtuBytes: mtuOf(name) };
  const addresses = all[name]?.filter((entry) => entry.family === 'IPv4') ?? [];
  const usable = addresses.find((entry) => entry.address === wanted) ?? addresses[0];
  if (usable === undefined) {
    throw notReady(
      name,
      'has no IPv4 address',
      'give it one, or use an IPv6 group (-g ff15::e100)',
    );
  }
  return { label: name, multicastAddress: usable.address, mtuBytes: mtuOf(name) };
}

function nameOf(wanted: string, all: ReturnType<typeof networkInterfaces>): string | undefined {
  const [bareWanted] = wanted.split('%');
  for (const [name, addresses] of Object.entries(all)) {
    if (name === wanted) return name;
    if (addresses?.some((entry) => entry.address === bareWanted)) return name;
  }
  // Node lists no interface that is down or without an address, and no other names.
  if (existsSync(`/sys/class/net/${wanted}`)) return wanted;
  const real = loadNative()?.interfaceName(wanted);
  return real ?? undefined;
}

function interfaceNames(): string[] | null {
  try {
    return readdirSync('/sys/class/net');
  } catch {
    return null;
  }
}

/** @throws Failure while it is down, or nothing is plugged in */
function refuseUnready(name: string): void {
  let carrier: string;
  try {
    carrier = readFileSync(`/sys/class/net/${name}/carrier`, 'utf8').trim();
  } catch (error) {
    // Of an interface that is down, the system does not tell.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') return;
    throw notReady(name, 'is down', `switch it on (ip link set ${name} up)`);
  }
  if (carrier === '0') throw notReady(name, 'has no carrier', 'look at its cable and switch');
}

function notReady(name: string, state: string, advice: string): Failure {
  return new Failure('network', 'NOT_READY', `interface ${name} ${state}; ${advice}`);
}

const LOOK_AGAIN_MS = 500;

/**
 * As `chooseInterface`, but waits for an interface that is not ready yet.
 * @param giveUpMs Infinity to wait for ever
 * @param tell hears what is waited for, each thing once
 * @throws Failure when it is not ready in time; the signal's reason
 */
export async function awaitInterface(
  wanted: string | undefined,
  group: string,
  giveUpMs: number,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<ChosenInterface> {
  const endMs = now() + giveUpMs;
  let told = '';
  for (;;) {
    try {
      return chooseInterface(wanted, group);
    } catch (error) {
      const isUnready = error instanceof Failure && error.code === 'NOT_READY';
      if (!isUnready || now() >= endMs) throw error;
      if (told !== error.message) tell(`waiting: ${error.message}`);
      told = error.message;
    }
    await sleep(Math.min(LOOK_AGAIN_MS, Math.max(1, endMs - now())), undefined, { signal });
  }
}

/** @throws Failure when packets of that size never leave the interface */
export function refuseLargeMtu(mtu: number | 'auto', { label, mtuBytes }: ChosenInterface): void {
  if (mtu === 'auto' || mtu <= mtuBytes) return;
  const text =
    `--mtu ${mtu} is more than interface ${label} takes (${mtuBytes}); ` +
    'give less, or raise its MTU';
  throw new Failure('network', 'MTU_TOO_LARGE', text);
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
  const mtuBytes = mtu === 'auto' ? Math.min(chosen.mtuBytes, MAX_AUTO_MTU_BYTES) : mtu;
  const headersBytes = isIPv6Address(group) ? IPV6_HEADERS_BYTES : IPV4_HEADERS_BYTES;
  return Math.min(mtuBytes - headersBytes, MAX_PACKET_BYTES) - BLOCK_HEADER_BYTES;
}
