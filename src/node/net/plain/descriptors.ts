/**
 * Descriptors of Node's sockets. Node does not tell them, but Linux does (`/proc/self/fd`).
 *
 * Why: reading and writing a socket as a file costs a third of what Node's own event or send does
 * for each datagram. Only a run that owns its process looks: a program around it could open sockets
 * of its own meanwhile. May be deleted, with `socket-reader.ts`, once Node's dgram takes or sends
 * many datagrams in one call.
 */
import { readdirSync, readlinkSync } from 'node:fs';

const OWN_DESCRIPTORS = '/proc/self/fd';

/**
 * @param open opens one socket
 * @returns its descriptor; -1 where the system does not tell, or not clearly
 */
export async function descriptorOf(open: () => Promise<void>): Promise<number> {
  const before = socketDescriptors();
  await open();
  const made = [...socketDescriptors()].filter(([socket]) => !before.has(socket));
  return made.length === 1 ? made[0]![1] : -1;
}

/** Descriptors by the name that the kernel gives the socket. */
function socketDescriptors(): Map<string, number> {
  const found = new Map<string, number>();
  for (const name of namesOf(OWN_DESCRIPTORS)) {
    const socket = linkOf(`${OWN_DESCRIPTORS}/${name}`);
    if (socket.startsWith('socket:')) found.set(socket, Number(name));
  }
  return found;
}

function namesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // It was closed in between, as the one that lists the folder is.
    return '';
  }
}
