/**
 * Node's own UDP sockets: made, bound, connected, joined to a group; and what went wrong, in a
 * sentence.
 */

import dgram from 'node:dgram';
import dns from 'node:dns';
import { isIP } from 'node:net';
import { Failure } from '../../failure.js';
import { fileShortage } from '../system/open-files.js';
import { isIPv6Address } from './family.js';
import type { Leave } from './membership.js';
import type { ChosenInterface } from './network-interface.js';

/** What is asked for; the system grants as much as it allows. */
export const WANTED_RECEIVE_BUFFER_BYTES = 64 * 1024 * 1024;
/** The send queue holds a few trains; more would only hide the network's pace from us. */
export const SEND_BUFFER_BYTES = 2 * 1024 * 1024;

/** Looks up names only: for an address that takes Node as long as sending. */
export function createUdpSocket(address: string, { reuse }: { reuse: boolean }): dgram.Socket {
  return dgram.createSocket({
    type: isIPv6Address(address) ? 'udp6' : 'udp4',
    reuseAddr: reuse,
    lookup(host, options, callback) {
      const family = isIP(host);
      if (family !== 0) callback(null, host, family);
      else dns.lookup(host, options, callback);
    },
  });
}

/** @throws Failure when the port is taken */
export function bindSocket(socket: dgram.Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = ({ code }: NodeJS.ErrnoException) =>
      reject(fileShortage(code) ?? portTaken(port));
    socket.once('error', refuse);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', refuse);
      resolve();
    });
  });
}

/** Hands a bound descriptor of the C library's to Node. */
export function adoptSocket(socket: dgram.Socket, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ fd }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Sends to one address only, and hears from no other. */
export function connectSocket(socket: dgram.Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // Node hands an error to the callback, though its type does not say so.
    const connected = (error?: Error | null) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    };
    socket.connect(port, address, connected);
  });
}

/** Joins a multicast group. @returns what leaves it again; null when it could not be joined */
export function joinNodeGroup(
  socket: dgram.Socket,
  group: string,
  { multicastAddress }: ChosenInterface,
): Leave | null {
  try {
    socket.addMembership(group, multicastAddress);
  } catch {
    return null;
  }
  return () => {
    try {
      socket.dropMembership(group, multicastAddress);
    } catch {
      // The system has forgotten it already.
    }
  };
}

/** Asks for a receive buffer as large as the system allows. @returns bytes granted */
export function tryGrowReceiveBuffer(socket: dgram.Socket): number {
  try {
    socket.setRecvBufferSize(WANTED_RECEIVE_BUFFER_BYTES);
    return socket.getRecvBufferSize();
  } catch {
    return 0;
  }
}

export function portTaken(port: number): Failure {
  const text =
    `UDP port ${port} cannot be used: another program (another multiserver?) may have it; ` +
    'choose another port';
  return new Failure('network', 'PORT_TAKEN', text);
}

export function networkFailure(error: unknown, group: string, chosen: ChosenInterface): Failure {
  const detail = error instanceof Error ? error.message : String(error);
  const text =
    `multicast to ${group} on interface ${chosen.label} does not work (${detail}); ` +
    'name an interface with -i';
  return new Failure('network', 'NO_MULTICAST', text);
}
