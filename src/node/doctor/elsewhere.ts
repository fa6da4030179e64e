/**
 * Looks for a server on the other interfaces of this machine, where none answers on the chosen one.
 */
import type { ChosenInterface } from '../net/network-interface.js';
import { chooseInterface } from '../net/network-interface.js';
import { candidatesFor } from './link-facts.js';
import { PathProbing, type Target } from './path-probing.js';
import { Prober } from './prober.js';

const TURNS = 4;

/** @returns the first interface on which one answers, or null */
export async function findElsewhere(
  chosen: ChosenInterface,
  target: Target,
  ttl: number,
): Promise<{ interface: string; address: string } | null> {
  const names = candidatesFor(target.group).filter((name) => name !== chosen.label);
  const found = await Promise.all(names.map((name) => askOn(name, target, ttl)));
  return found.find((answer) => answer !== null) ?? null;
}

async function askOn(
  name: string,
  target: Target,
  ttl: number,
): Promise<{ interface: string; address: string } | null> {
  let prober: Prober | null = null;
  try {
    prober = await Prober.open(chooseInterface(name, target.group), { group: target.group, ttl });
    const [server] = await new PathProbing(prober, target).discover(TURNS);
    return server === undefined ? null : { interface: name, address: server.address };
  } catch {
    // It went, or has no address after all.
    return null;
  } finally {
    prober?.close();
  }
}
