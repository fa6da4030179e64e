/**
 * A program of its own: a stranger on the network who listens to the group, and sends as many
 * forged packets as it can for a few seconds. Runs in a host of the lab; what it is told to do
 * comes as JSON on its command line, what it did goes out as JSON.
 */

import dgram from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { PacketType, packetLength, packetSession, packetType } from '../../src/protocol/packet.js';
import { runTool } from '../lab/tools.js';
import { Random } from '../sim/random.js';
import { Forger } from './forger.js';

export interface AttackOptions {
  seed: number;
  /** Who is to suffer: `server` gets forged requests, `client` forged blocks and answers. */
  aim: 'server' | 'client';
  /** Send under this address, which is somebody else's. */
  spoofed: string | null;
  ownAddress: string;
  server: { address: string; port: number };
  client: { address: string; port: number };
  group: string;
  port: number;
  packetsPerSecond: number;
  lastsMs: number;
  chunkCount: number;
}

/** Its last line. */
export interface AttackResult {
  sent: number;
  elapsedMs: number;
  knowsSession: boolean;
}

const listenMs = 5000;
const mostUnderWay = 512;
const batch = 256;
const poolSize = 2048;

/**
 * Takes somebody else's address, without answering for it or telling others: packets are
 * forged, not routes. What comes from there is not heard any more.
 */
function takeAddress(address: string): void {
  writeFileSync('/proc/sys/net/ipv4/conf/all/arp_ignore', '1');
  writeFileSync('/proc/sys/net/ipv4/conf/all/arp_announce', '2');
  runTool('ip', ['addr', 'add', `${address}/32`, 'dev', 'lo']);
}

interface Aim {
  address: string;
  port: number;
}

/** A connected socket: Node then has no name to look up for each packet, and sends at once. */
function openSocket(options: AttackOptions, aim: Aim): Promise<dgram.Socket> {
  const socket = dgram.createSocket('udp4');
  // Nobody listens there any more, says the other host: that stops no attacker.
  socket.on('error', () => {});
  return new Promise((resolve) => {
    socket.bind({ address: options.spoofed ?? options.ownAddress, port: 0 }, () => {
      socket.setMulticastInterface(options.ownAddress);
      socket.connect(aim.port, aim.address, () => resolve(socket));
    });
  });
}

/** Hears the group until a session is known. */
async function overhear(options: AttackOptions, forger: Forger): Promise<void> {
  const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true });
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, listenMs);
    socket.on('message', (bytes) => {
      const length = packetLength(bytes, 0, bytes.length);
      if (length === 0) return;
      forger.session = packetSession(bytes, 0);
      forger.hear(bytes.subarray(0, length));
      if (packetType(bytes, 0) !== PacketType.block || forger.heardCount < 64) return;
      clearTimeout(timer);
      resolve();
    });
    socket.bind({ port: options.port }, () => {
      socket.addMembership(options.group, options.ownAddress);
    });
  });
  socket.close();
}

async function attack(options: AttackOptions): Promise<AttackResult> {
  const random = new Random(options.seed, 'attacker');
  const forger = new Forger(random, options.chunkCount);
  await overhear(options, forger);
  if (options.spoofed !== null) takeAddress(options.spoofed);
  const toClient = [{ address: options.group, port: options.port }, options.client];
  const aims = options.aim === 'server' ? [options.server] : toClient;
  const sockets = await Promise.all(aims.map((aim) => openSocket(options, aim)));
  const forge = () => (options.aim === 'server' ? forger.forServer() : forger.forClient());
  const pool = Array.from({ length: poolSize }, forge);
  const startedMs = performance.now();
  let sent = 0;
  let underWay = 0;
  const noteSent = (): void => {
    underWay -= 1;
  };
  const sendOne = (): void => {
    const at = random.below(poolSize);
    // A part of the pool is new all the time: the same packets again would be too easy.
    if (sent % 32 === 0) pool[at] = forge();
    const packet = pool[at]!;
    if (options.aim === 'server') forger.renameSender(packet);
    // Most of it goes where most is to be broken.
    const socket = sent % 4 === 0 ? sockets.at(-1)! : sockets[0]!;
    underWay += 1;
    sent += 1;
    socket.send(packet, noteSent);
  };
  await new Promise<void>((resolve) => {
    const send = (): void => {
      const elapsedMs = performance.now() - startedMs;
      if (elapsedMs >= options.lastsMs) {
        resolve();
        return;
      }
      const due = Math.ceil((elapsedMs * options.packetsPerSecond) / 1000 - sent);
      const count = Math.min(batch, mostUnderWay - underWay, due);
      for (let i = 0; i < count; i++) sendOne();
      setImmediate(send);
    };
    send();
  });
  const elapsedMs = performance.now() - startedMs;
  for (const socket of sockets) socket.close();
  return { sent, elapsedMs, knowsSession: forger.session !== 0n };
}

const result = await attack(JSON.parse(process.argv[2] ?? '{}'));
process.stdout.write(`${JSON.stringify(result)}\n`);
