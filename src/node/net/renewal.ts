/**
 * A network interface can be removed and made anew under the same name: an adapter that is pulled and
 * plugged in again. The system then forgets who joined a group on it, and by which interface a
 * socket sends to groups, and tells nobody. So both are set anew every few seconds. Where nothing changed,
 * this does nothing: the system refuses to join twice, without a packet.
 *
 * A stale membership stays with its socket, of which Linux allows 20 (igmp_max_memberships): an adapter
 * may come back so often in one run.
 */
import type dgram from 'node:dgram';
import { type ChosenInterface, chooseInterface } from './network-interface.js';

const RENEW_MS = 2000;

/**
 * @param wanted as `chooseInterface` takes it
 * @param renew sets everything anew. @returns whether the group had to be joined again
 * @param tell hears about it
 */
export function startRenewing(
  wanted: string | undefined,
  group: string,
  renew: (chosen: ChosenInterface) => boolean,
  tell: (text: string) => void,
): NodeJS.Timeout {
  return setInterval(() => {
    const chosen = presentInterface(wanted, group);
    if (chosen === null || !renew(chosen)) return;
    tell(`interface ${chosen.label} was made anew; joined ${group} there again`);
  }, RENEW_MS);
}

/** Null while the interface is not there. */
function presentInterface(wanted: string | undefined, group: string): ChosenInterface | null {
  try {
    return chooseInterface(wanted, group);
  } catch {
    return null;
  }
}

/** @returns whether it had to be joined again */
export function joinAgain(socket: dgram.Socket, group: string, chosen: ChosenInterface): boolean {
  try {
    socket.addMembership(group, chosen.multicastAddress);
    return true;
  } catch {
    return false;
  }
}

/** What is sent to groups leaves by this interface, as it is now. */
export function sendByAgain(socket: dgram.Socket, { multicastAddress }: ChosenInterface): void {
  if (multicastAddress === undefined) return;
  try {
    socket.setMulticastInterface(multicastAddress);
  } catch {
    // It went in this moment: the next time will do.
  }
}
