/**
 * A program of its own: sends what it finds in a file, under the addresses that stand there.
 * Runs in a host of the lab; the name of the file is its only argument, and how many are out is
 * what it says.
 */

import type dgram from 'node:dgram';
import { readFileSync } from 'node:fs';
import { loadNative } from '../../src/node/system/native.js';
import type { Address } from '../../src/protocol/address.js';
import { openSpoofingSocket } from './spoofing.js';

interface SpoofedPacket {
  from: Address;
  to: Address;
  /** In hex. */
  bytes: string;
}

export interface SpooferOptions {
  ownAddress: string;
  packets: SpoofedPacket[];
}

/** Few enough for the smallest of the receivers' queues, which is looked at in the meantime. */
const packetsPerTurn = 8;
const turnMs = 3;

async function spoof({ ownAddress, packets }: SpooferOptions): Promise<number> {
  const native = loadNative();
  if (native === null) throw new Error('koffi is missing: run npm install');
  const sockets = new Map<string, dgram.Socket>();
  const socketOf = async ({ from, to }: SpoofedPacket): Promise<dgram.Socket> => {
    const key = `${from.address} ${from.port} ${to.address} ${to.port}`;
    const known = sockets.get(key);
    if (known !== undefined) return known;
    const { socket } = await openSpoofingSocket(native, from, to, ownAddress);
    sockets.set(key, socket);
    return socket;
  };
  for (let next = 0; next < packets.length; next += packetsPerTurn) {
    for (const packet of packets.slice(next, next + packetsPerTurn)) {
      const socket = await socketOf(packet);
      await new Promise((resolve) => socket.send(Buffer.from(packet.bytes, 'hex'), resolve));
    }
    await new Promise((resolve) => setTimeout(resolve, turnMs));
  }
  for (const socket of sockets.values()) socket.close();
  return packets.length;
}

const sent = await spoof(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
process.stdout.write(`${sent}\n`);
