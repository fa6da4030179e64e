/** The sockets of requests and their answers, on both sides. */
import type dgram from 'node:dgram';
import { Failure } from '../../failure.js';
import { debugLog } from '../debug-log.js';
import type { ClientOptions, ServerOptions } from '../options.js';
import { Membership } from './membership.js';
import type { ChosenInterface } from './network-interface.js';
import { createUdpSocket, joinNodeGroup } from './socket-options.js';

const debug = debugLog('multiclient:requests');
const debugServer = debugLog('multiserver:requests');

const FIRST_RANDOM_PORT = 32_767;
const RANDOM_PORTS = 32_769;
const MOST_TRIES = 20;

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
    } catch {
      if (fromPort === undefined && tries < MOST_TRIES) continue;
      socket.close();
      throw new Failure(
        'network',
        'PORT_TAKEN',
        `UDP port ${port} is in use; choose another with -f, or leave -f out`,
      );
    }
  }
  socket.removeAllListeners('error');
  socket.on('error', (error) => debug('%s', error.message));
  if (chosen.multicastAddress !== undefined) socket.setMulticastInterface(chosen.multicastAddress);
  socket.setMulticastTTL(ttl);
  return socket;
}

async function bindSocketTo(socket: dgram.Socket, port: number, taken: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', () => reject(new Failure('network', 'PORT_TAKEN', taken)));
    socket.bind({ port, exclusive: true }, resolve);
  });
  socket.removeAllListeners('error');
}

/**
 * Binds the server's socket, and joins the group with it so that clients find the server.
 *
 * @param openAnswers opens the sockets for single addresses, before requests could come by this one
 * @returns the membership, to be looked after
 * @throws Failure when the port is taken, or the group cannot be joined
 */
export async function bindServerSocket(
  socket: dgram.Socket,
  { group, serverPort, ttl }: ServerOptions,
  chosen: ChosenInterface,
  openAnswers: () => Promise<void>,
): Promise<Membership> {
  const taken = `UDP port ${serverPort} is in use, perhaps by another multiserver; choose another with -s`;
  // The port is ours alone, and yet shared with sockets for single addresses: the first is tried out.
  const alone = createUdpSocket(group, { reuse: false });
  await bindSocketTo(alone, serverPort, taken);
  await new Promise<void>((resolve) => alone.close(() => resolve()));
  await openAnswers();
  await bindSocketTo(socket, serverPort, taken);
  socket.on('error', (error) => debugServer('%s', error.message));
  try {
    if (chosen.multicastAddress !== undefined) {
      socket.setMulticastInterface(chosen.multicastAddress);
    }
    socket.setMulticastTTL(ttl);
    const membership = new Membership(group, (now) => joinNodeGroup(socket, group, now));
    if (!membership.join(chosen)) throw new Error('the system refuses');
    return membership;
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(
      'network',
      'NO_MULTICAST',
      `cannot join ${group} on interface ${chosen.label} (${message}); name an interface with -i`,
    );
  }
}
