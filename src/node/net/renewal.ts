/**
 * Interfaces and their addresses come and go while a program runs: an adapter that is pulled and
 * plugged in again, a lease that ends. The system then forgets who joined a group on it, and by
 * which interface a socket sends to groups, and tells nobody. So both are looked after every few
 * seconds.
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
    tell(`the system had lost group ${group} on interface ${chosen.label}; joined it there again`);
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

/** What is sent to groups leaves by this interface, as it is now. */
export function sendByAgain(socket: dgram.Socket, { multicastAddress }: ChosenInterface): void {
  if (multicastAddress === undefined) return;
  try {
    socket.setMulticastInterface(multicastAddress);
  } catch {
    // It went in this moment: the next time will do.
  }
}
