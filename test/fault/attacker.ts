/**
 * A program of its own: a stranger on the network who listens to the group, and sends as many
 * forged packets as it is told to for a few seconds, in trains that the kernel cuts into packets.
 * Runs in a host of the lab; what it is told to do comes as JSON on its command line, what it did
 * goes out as JSON.
 */

import dgram from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { SOL_UDP, UDP_SEGMENT } from '../../src/node/net/linux/native-socket.js';
import { TrainSender, WAITS } from '../../src/node/net/linux/train-sender.js';
import { maxTrainBytesOf } from '../../src/node/net/train-length.js';
import { loadNative, type Native } from '../../src/node/system/native.js';
import {
  HEADER_BYTES,
  PacketType,
  packetLength,
  packetSession,
  packetType,
} from '../../src/protocol/packet.js';
import { Random } from '../sim/random.js';
import { Forger } from './forger.js';
import { SealedForger } from './sealed-forger.js';
import { openSpoofingSocket } from './spoofing.js';

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
  /** Server and clients have a key, and the attacker has none. */
  isSealed?: boolean;
  /** A file for what was heard, packets in hex; nothing is sent then. */
  recordTo?: string;
  /** Such a file, of an earlier session. */
  replayFrom?: string;
}

/** Its last line. */
export interface AttackResult {
  sent: number;
  elapsedMs: number;
  /** Which types of packets were among them. */
  types: number[];
  knowsSession: boolean;
}

const listenMs = 5000;
const trainBytes = 65_000;
const mostPackets = 32;
/** The clock is looked at again after so many trains. */
const trainsPerTurn = 16;

interface Aim {
  address: string;
  port: number;
}

/** Sends to one aim, in trains of packets of one length. */
class Gun {
  private readonly train = Buffer.allocUnsafeSlow(trainBytes);
  private readonly sender: TrainSender;

  private constructor(
    private readonly native: Native,
    private readonly fd: number,
    private readonly socket: dgram.Socket,
    private readonly random: Random,
  ) {
    this.sender = new TrainSender(native, fd, trainBytes);
  }

  static async open(options: AttackOptions, aim: Aim, random: Random): Promise<Gun> {
    const native = loadNative();
    if (native === null) throw new Error('koffi is missing: run npm install');
    const { ownAddress, spoofed } = options;
    const from = { address: spoofed ?? ownAddress, port: 0 };
    const { fd, socket } = await openSpoofingSocket(native, from, aim, ownAddress);
    return new Gun(native, fd, socket, random);
  }

  /**
   * Sends a packet, and behind it others of its length.
   * @param vary makes another packet of a copy, in its place
   * @returns how many are out
   */
  fire(packet: Buffer, vary: (copy: Buffer) => void): number {
    const { native, fd, random, sender, train } = this;
    const { length } = packet;
    if (length === 0 || sender.isBusy) return 0;
    const fitting = Math.floor(maxTrainBytesOf(length) / length);
    const count = Math.min(fitting, 1 + random.below(mostPackets));
    for (let i = 0; i < count; i++) {
      packet.copy(train, i * length);
      if (i > 0) vary(train.subarray(i * length, (i + 1) * length));
    }
    native.setOption(fd, SOL_UDP, UDP_SEGMENT, length);
    const result = sender.send(train, count * length, length, null, () => {});
    return result === 0 || result === WAITS ? count : 0;
  }

  close(): void {
    this.sender.stop();
    this.socket.close();
  }
}

const heardBy = (forger: Forger | SealedForger): number =>
  forger instanceof SealedForger ? forger.heard.length : forger.heardCount;

function recordingOf({ replayFrom }: AttackOptions): Buffer[] {
  if (replayFrom === undefined) return [];
  const lines = readFileSync(replayFrom, 'utf8').split('\n');
  return lines.map((line) => Buffer.from(line, 'hex'));
}

/** Hears the group until a session is known. */
async function overhear(options: AttackOptions, forger: Forger | SealedForger): Promise<void> {
  const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true });
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, listenMs);
    socket.on('message', (bytes) => {
      const length = packetLength(bytes, 0, bytes.length);
      if (length === 0) return;
      forger.session = packetSession(bytes, 0);
      forger.hear(bytes.subarray(0, length));
      if (packetType(bytes, 0) !== PacketType.block || heardBy(forger) < 64) return;
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
  const sealed = options.isSealed ? new SealedForger(random, recordingOf(options)) : null;
  const open = new Forger(random, options.chunkCount);
  await overhear(options, sealed ?? open);
  if (options.recordTo !== undefined) {
    const lines = sealed!.heard.map((packet) => packet.toString('hex'));
    writeFileSync(options.recordTo, lines.join('\n'));
    return { sent: 0, elapsedMs: 0, types: [], knowsSession: sealed!.session !== 0n };
  }
  const toClient = [{ address: options.group, port: options.port }, options.client];
  const aims = options.aim === 'server' ? [options.server] : toClient;
  const guns = await Promise.all(aims.map((aim) => Gun.open(options, aim, random)));
  const forge = () => {
    if (sealed !== null) return sealed.forge();
    return options.aim === 'server' ? open.forServer() : open.forClient();
  };
  const startedMs = performance.now();
  const types = new Set<number>();
  let sent = 0;
  const fire = (): void => {
    // Most of it goes where most is to be broken.
    const gun = random.chance(0.25) ? guns.at(-1)! : guns[0]!;
    const packet = forge();
    if (packet.length >= HEADER_BYTES) types.add(packetType(packet, 0));
    sent += gun.fire(packet, (sealed ?? open).variationOf(packet));
  };
  await new Promise<void>((resolve) => {
    const send = (): void => {
      const elapsedMs = performance.now() - startedMs;
      if (elapsedMs >= options.lastsMs) {
        resolve();
        return;
      }
      const due = (elapsedMs * options.packetsPerSecond) / 1000;
      for (let trains = 0; trains < trainsPerTurn && sent < due; trains++) fire();
      setImmediate(send);
    };
    send();
  });
  const elapsedMs = performance.now() - startedMs;
  for (const gun of guns) gun.close();
  return { sent, elapsedMs, types: [...types], knowsSession: (sealed ?? open).session !== 0n };
}

const result = await attack(JSON.parse(process.argv[2] ?? '{}'));
process.stdout.write(`${JSON.stringify(result)}\n`);
