/**
 * Sockets for requests that are sent to one of this machine's addresses: answers then come from the
 * address that was asked. From a socket for all addresses, they would come from the one that the
 * system likes best, and a firewall that lets answers in does not know that.
 */

import type dgram from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { Address } from '../../protocol/address.js';
import { debugLog } from '../system/debug-log.js';
import { isIPv6Address } from './family.js';
import { createUdpSocket } from './node-socket.js';

const debug = debugLog('multiserver:requests');

/** More addresses than machines have; the others are answered all the same. */
const MAX_SOCKETS = 64;

/** Who asked, and by which socket. */
export interface Asker extends Address {
  via?: dgram.Socket;
}

export type RequestHandler = (bytes: Buffer, from: Asker) => void;

export class AnswerSockets {
  private readonly group: string;
  private readonly port: number;
  private readonly onRequest: RequestHandler;
  private readonly sockets = new Map<string, dgram.Socket>();

  constructor(group: string, port: number, onRequest: RequestHandler) {
    this.group = group;
    this.port = port;
    this.onRequest = onRequest;
  }

  /** Opens sockets for addresses that came, and closes those of addresses that went. */
  async tend(): Promise<void> {
    const present = this.addresses();
    for (const [address, socket] of this.sockets) {
      if (present.has(address)) continue;
      this.sockets.delete(address);
      socket.close();
    }
    const opened: Promise<void>[] = [];
    for (const address of present) {
      const isNew = !this.sockets.has(address) && this.sockets.size < MAX_SOCKETS;
      if (isNew) opened.push(this.open(address));
    }
    await Promise.all(opened);
  }

  private addresses(): Set<string> {
    const family = isIPv6Address(this.group) ? 'IPv6' : 'IPv4';
    const entries = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const usable = entries.filter(
      (entry) => entry.family === family && !entry.internal && !entry.address.startsWith('fe80'),
    );
    return new Set(usable.map(({ address }) => address));
  }

  /** @returns when it is open, or cannot be */
  private open(address: string): Promise<void> {
    const socket = createUdpSocket(this.group, { reuse: true });
    this.sockets.set(address, socket);
    socket.on('error', (error) => {
      debug('%s: %s', address, error.message);
      if (this.sockets.get(address) !== socket) return;
      // Whatever it is, it could be told again and again. The next look opens another.
      this.sockets.delete(address);
      socket.close();
    });
    socket.on('message', (bytes, { address: from, port }) =>
      this.onRequest(bytes, { address: from, port, via: socket }),
    );
    return new Promise((resolve) => {
      socket.once('error', () => resolve());
      socket.bind({ address, port: this.port, exclusive: true }, resolve);
    });
  }

  /** Whether a socket can still be answered by. */
  isOpen(socket: dgram.Socket): boolean {
    for (const open of this.sockets.values()) if (open === socket) return true;
    return false;
  }

  close(): void {
    for (const socket of this.sockets.values()) socket.close();
    this.sockets.clear();
  }
}
