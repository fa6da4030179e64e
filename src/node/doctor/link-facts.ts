/** What the system says of its interfaces: reads `/sys` and `/proc` only. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { basename } from 'node:path';
import type { BridgeFacts, LinkFacts, Unknown } from '../../doctor/facts.js';
import { isIPv6Address } from '../net/family.js';
import { interfaceTowards } from '../net/routes.js';
import { loadNative } from '../system/native.js';

const ROOT = '/sys/class/net';
const IFF_UP = 1;

/** The text of a small file of the system's; null when there is none, or it refuses. */
export function readSmall(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function namesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Addresses of an interface in the family of the group. */
function addressesOf(name: string, group: string): string[] {
  const family = isIPv6Address(group) ? 'IPv6' : 'IPv4';
  const entries = networkInterfaces()[name] ?? [];
  return entries.filter((entry) => entry.family === family).map(({ address }) => address);
}

/** @param wanted name, other name or address; undefined for the system's choice */
function nameOf(wanted: string | undefined, group: string): string | null {
  if (wanted === undefined) return interfaceTowards(group) ?? null;
  if (existsSync(`${ROOT}/${wanted}`)) return wanted;
  const [bare] = wanted.split('%');
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    if (entries?.some(({ address }) => address === bare)) return name;
  }
  return loadNative()?.interfaceName(wanted) ?? null;
}

export function linkFacts(wanted: string | undefined, group: string): LinkFacts | Unknown {
  const name = nameOf(wanted, group);
  if (name === null) {
    return wanted === undefined
      ? { why: `none is named, and no route leads to ${group}` }
      : { why: `there is no interface ${wanted}; there are: ${namesOf(ROOT).join(', ')}` };
  }
  const folder = `${ROOT}/${name}`;
  const speed = Number(readSmall(`${folder}/speed`) ?? 0);
  const duplex = readSmall(`${folder}/duplex`);
  const carrier = readSmall(`${folder}/carrier`);
  return {
    name,
    isUp: (Number(readSmall(`${folder}/flags`) ?? 0) & IFF_UP) !== 0,
    hasCarrier: carrier === null ? null : carrier === '1',
    speedMegabits: speed > 0 ? speed : null,
    duplex: duplex === 'full' || duplex === 'half' ? duplex : null,
    isCard: existsSync(`${folder}/device`),
    mtuBytes: Number(readSmall(`${folder}/mtu`) ?? 1500),
    addresses: addressesOf(name, group),
  };
}

/** Interfaces that are up, connected and have an address: those that may be meant. */
export function candidatesFor(group: string): string[] {
  return namesOf(ROOT).filter((name) => {
    const isConnected = readSmall(`${ROOT}/${name}/carrier`) === '1';
    return name !== 'lo' && isConnected && addressesOf(name, group).length > 0;
  });
}

/** The bridge of this machine that an interface is, or is a port of. */
export function bridgeOf(name: string): BridgeFacts | null {
  const isBridge = existsSync(`${ROOT}/${name}/bridge`);
  const masters = isBridge ? [name] : namesOf(ROOT).filter((other) => isPortOf(name, other));
  const [bridge] = masters;
  if (bridge === undefined) return null;
  const folder = `${ROOT}/${bridge}/bridge`;
  return {
    name: basename(bridge),
    snoops: readSmall(`${folder}/multicast_snooping`) === '1',
    asks: readSmall(`${folder}/multicast_querier`) === '1',
  };
}

const isPortOf = (name: string, bridge: string): boolean =>
  existsSync(`${ROOT}/${bridge}/brif/${name}`);

export function conntrackFacts(): { count: number; most: number } | null {
  const folder = '/proc/sys/net/netfilter';
  const count = readSmall(`${folder}/nf_conntrack_count`);
  const most = readSmall(`${folder}/nf_conntrack_max`);
  if (count === null || most === null) return null;
  return { count: Number(count), most: Number(most) };
}
