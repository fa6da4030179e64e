/**
 * Sockets that send under an address that may be somebody else's. Nothing is taken from its owner:
 * what comes for it is still his, and so are the questions for his hardware address.
 */

import type dgram from 'node:dgram';
import { socketAddress } from '../../src/node/net/linux/native-socket.js';
import { adoptSocket, connectSocket, createUdpSocket } from '../../src/node/net/node-socket.js';
import type { Native } from '../../src/node/system/native.js';
import type { Address } from '../../src/protocol/address.js';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IP = 0;
/** The superuser may bind to what is no address of this machine (ip(7)). */
const IP_TRANSPARENT = 19;

interface SpoofingSocket {
  fd: number;
  socket: dgram.Socket;
}

/**
 * @param from port 0 for any
 * @param ownAddress of the interface that leads to the group
 * @throws Error when the system does not let us
 */
export async function openSpoofingSocket(
  native: Native,
  from: Address,
  to: Address,
  ownAddress: string,
): Promise<SpoofingSocket> {
  const fd = native.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  const bytes = socketAddress(from.address, from.port);
  native.setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const isOurs =
    native.setOption(fd, IPPROTO_IP, IP_TRANSPARENT, 1) &&
    native.bind(fd, bytes, bytes.length) === 0;
  if (!isOurs) throw new Error(`no socket at ${from.address}, port ${from.port}`);
  const socket = createUdpSocket(to.address, { reuse: true });
  await adoptSocket(socket, fd);
  // Nobody listens there any more, says the other host: that stops no attacker.
  socket.on('error', () => {});
  socket.setMulticastInterface(ownAddress);
  socket.setMulticastLoopback(false);
  await connectSocket(socket, to.address, to.port);
  return { fd, socket };
}
