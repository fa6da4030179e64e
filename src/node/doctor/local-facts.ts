/** What is known of this machine before anything is sent. */
import { isIPv4 } from 'node:net';
import {
  type Facts,
  isKnown,
  type Role,
  type RouteFacts,
  type Wanted,
} from '../../doctor/facts.js';
import { isJoined } from '../net/membership.js';
import { type ChosenInterface, chooseInterface, OF_NO_ROUTE } from '../net/network-interface.js';
import { interfaceTowards } from '../net/routes.js';
import type { NetworkOptions } from '../options.js';
import { type NetCounters, readCounters, reversePathLevel } from './counters.js';
import { firewallFacts } from './firewall-facts.js';
import { bridgeOf, candidatesFor, conntrackFacts, linkFacts } from './link-facts.js';
import { machineFacts } from './machine-facts.js';

interface Patient extends NetworkOptions {
  serverPort: number;
  /** Undefined: servers are looked for by multicast. */
  serverHost?: string | undefined;
  /** Of a copy that began. */
  chosenServer?: string | null;
}

function wantedOf(role: Role, options: Patient): Wanted {
  const { interface: name, group, port, serverHost = null, serverPort } = options;
  const { chosenServer = null, keyFile = null } = options;
  const place = { interface: name, group, port, serverHost, serverPort };
  return { role, ...place, keyFile, chosenServer };
}

/** @param server an address, or null */
export function routeFacts(group: string, server: string | null): RouteFacts {
  const toServer = server !== null && isIPv4(server) ? interfaceTowards(server) : undefined;
  return { toGroup: interfaceTowards(group) ?? null, toServer: toServer ?? null };
}

/** @param option names the option that chooses another port than the one that is used */
export async function localFacts(role: Role, options: Patient, option: string): Promise<Facts> {
  const wanted = wantedOf(role, options);
  const link = linkFacts(options.interface, options.group);
  const [firewall, machine] = await Promise.all([firewallFacts(), machineFacts()]);
  return {
    wanted,
    link,
    candidates: candidatesFor(options.group),
    routes: routeFacts(options.group, wanted.serverHost),
    port: { taken: null, holder: null, option },
    firewall,
    conntrack: conntrackFacts(),
    reversePath: null,
    isMember: null,
    querierHeard: null,
    bridge: isKnown(link) ? bridgeOf(link.name) : null,
    buffer: null,
    path: null,
    machine,
    target: null,
  };
}

/** The interface, as far as it can be used. */
export function usableInterface({ interface: name, group }: Patient): ChosenInterface | null {
  try {
    const chosen = chooseInterface(name, group);
    return linkFacts(name, group) !== null && chosen.label !== OF_NO_ROUTE ? chosen : null;
  } catch {
    // Its own checks say why.
    return null;
  }
}

/** What the kernel noted while packets went to and fro. */
export function noteKernel(facts: Facts, chosen: ChosenInterface, before: NetCounters): void {
  const level = reversePathLevel(chosen.label);
  const droppedCount = readCounters().reversePathFiltered - before.reversePathFiltered;
  facts.reversePath = level === null ? null : { level, droppedCount };
  facts.isMember = isJoined(chosen.label, facts.wanted.group);
}
