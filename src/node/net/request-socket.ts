/** The sockets of requests and their answers, on both sides. */

import type dgram from 'node:dgram';
import { Failure } from '../../failure.js';
import type { ClientOptions, ServerOptions } from '../options.js';
import { fileShortage } from '../system/open-files.js';
import { Membership } from './membership.js';
import type { ChosenInterface } from './network-interface.js';
import { createUdpSocket, joinNodeGroup } from './node-socket.js';

const FIRST_RANDOM_PORT = 32_767;
const RANDOM_PORTS = 32_769;
const MAX_TRIES = 20;

/** Opens it at a random port, unless one was asked for. */
export async function openRequestSocket(
  { group, fromPort, ttl }: ClientOptions,
  chosen: ChosenInterface,
): Promise<dgram.Socket> {
  const socket = createUdpSocket(group, { reuse: false });
  for (let tries = 0; ; tries++) {
    const port = fromPort ?? FIRST_RANDOM_PORT + Math.floor(Math.random() * RANDOM_PORTS);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.bind({ port, exclusive: true }, resolve);
      });
      break;
    } catch (error) {
      const shortage = fileShortage((error as NodeJS.ErrnoException).code);
      if (shortage !== null) throw shortage;
      if (fromPort === undefined && tries < MAX_TRIES) continue;
      socket.close();
      throw new Failure(
        'network',
        'PORT_TAKEN',
        `UDP port ${port} is in use; choose another with -f, or leave -f out`,
      );
    }
  }
  if (chosen.multicastAddress !== undefined) socket.setMulticastInterface(chosen.multicastAddress);
  socket.setMulticastTTL(ttl);
  return socket;
}

async function bindSocketTo(socket: dgram.Socket, port: number): Promise<void> {
  const why = 'perhaps by another multiserver; choose another with -s';
  const taken = `UDP port ${port} is in use, ${why}`;
  await new Promise<void>((resolve, reject) => {
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      reject(fileShortage(code) ?? new Failure('network', 'PORT_TAKEN', taken)),
    );
    socket.bind({ port, exclusive: true }, resolve);
  });
}

/**
 * The port is a server's alone, and yet shared with sockets for single addresses: before those are
 * opened, it is tried out.
 * @throws Failure when it is taken
 */
export async function refuseTakenPort({ group, serverPort }: ServerOptions): Promise<void> {
  const alone = createUdpSocket(group, { reuse: false });
  await bindSocketTo(alone, serverPort);
  await new Promise<void>((resolve) => alone.close(() => resolve()));
}

/**
 * Opens the server's socket, and joins the group with it so that clients find the server.
 * @returns the membership to be looked after, too
 * @throws Failure when the port is taken, or the group cannot be joined
 */
export async function openServerSocket(
  { group, serverPort, ttl }: ServerOptions,
  chosen: ChosenInterface,
): Promise<{ socket: dgram.Socket; membership: Membership }> {
  const socket = createUdpSocket(group, { reuse: true });
  await bindSocketTo(socket, serverPort);
  try {
    if (chosen.multicastAddress !== undefined) {
      socket.setMulticastInterface(chosen.multicastAddress);
    }
    socket.setMulticastTTL(ttl);
    const membership = new Membership(group, (now) => joinNodeGroup(socket, group, now));
    if (!membership.join(chosen)) throw new Error('the system refuses');
    return { socket, membership };
  } catch (error) {
    socket.close();
    const { message } = error as Error;
    const place = `${group} on interface ${chosen.label}`;
    const text = `cannot join ${place} (${message}); name an interface with -i`;
    throw new Failure('network', 'NO_MULTICAST', text);
  }
}
