/** Sends probes by one interface, and keeps what was answered. */

import { randomBytes } from 'node:crypto';
import type dgram from 'node:dgram';
import type { Address } from '../../protocol/address.js';
import {
  HEADER_BYTES,
  MAGIC,
  PacketType,
  packetLength,
  packetType,
} from '../../protocol/packet.js';
import {
  decodeProbeAnswer,
  encodeProbe,
  type ProbeAnswer,
  ProbeWish,
  type ProbeWishId,
  probePadding,
} from '../../protocol/probe.js';
import { readU16 } from '../../protocol/words.js';
import type { ChosenInterface } from '../net/network-interface.js';
import { openRequestSocket } from '../net/request-socket.js';
import { CLIENT_DEFAULTS } from '../options.js';
import { now } from '../system/clock.js';

export interface Asking {
  wish: ProbeWishId;
  /** Of the answer; 0 for the shortest. */
  answerBytes?: number;
  /** Of a burst. */
  rateBytesPerMs?: number;
  burstPackets?: number;
}

/** An answer, and the way that it came. */
export interface Heard {
  answer: ProbeAnswer;
  address: string;
  isByGroup: boolean;
  /** As a UDP payload. */
  length: number;
  atMs: number;
}

/** More than that are kept of no run. */
const MAX_HEARD = 60_000;
const MAX_STRANGERS = 4;
const MAX_OTHERS = 64;

export class Prober {
  readonly client = randomBytes(8).readBigUInt64BE();
  readonly heard: Heard[] = [];
  /** Addresses that send to the group what is none of ours. */
  readonly strangers = new Set<string>();
  /** Addresses that send ours. */
  readonly streams = new Set<string>();
  /** Answers to other things than probes. */
  private others: Buffer[] = [];
  private readonly socket: dgram.Socket;
  private nextNumber = 1;

  private constructor(socket: dgram.Socket) {
    this.socket = socket;
    // What cannot be read is lost, like a packet on the way.
    socket.removeAllListeners('error');
    socket.on('error', () => {});
    socket.on('message', (bytes, { address }) => this.take(bytes, address, false));
  }

  /** @param fromPort undefined for a random one */
  static async open(
    chosen: ChosenInterface,
    { group, ttl, fromPort }: { group: string; ttl: number; fromPort?: number | undefined },
  ): Promise<Prober> {
    const options = { ...CLIENT_DEFAULTS, group, ttl, fromPort };
    return new Prober(await openRequestSocket(options, chosen));
  }

  /** @returns the number of the probe; what cannot be sent is lost like what is lost on the way */
  ask({ address, port }: Address, asking: Asking): number {
    const { wish, answerBytes = 0, rateBytesPerMs = 0, burstPackets = 0 } = asking;
    const number = this.nextNumber++;
    // So long that the answer has not three times its bytes, unless bursts are asked for.
    const length = wish === ProbeWish.burst ? 0 : Math.ceil(answerBytes / 3);
    const paddingLength = probePadding(length);
    const { client } = this;
    const probe = { client, number, wish, answerBytes, rateBytesPerMs, burstPackets };
    this.socket.send(encodeProbe({ ...probe, paddingLength }), port, address, () => {});
    return number;
  }

  /** Sends what is no probe; its answers are among the others. */
  send(bytes: Buffer, { address, port }: Address): void {
    this.socket.send(bytes, port, address, () => {});
  }

  /** @returns what came since the last time and is no answer to a probe */
  takeOthers(): Buffer[] {
    const taken = this.others;
    this.others = [];
    return taken;
  }

  /** Packets that came by the group, back to back in `bytes[start, end)`. */
  takeGroup(bytes: Buffer, start: number, end: number, address: string): void {
    let at = start;
    while (at < end) {
      const length = packetLength(bytes, at, end);
      if (length === 0) {
        const isOurs = end - at >= HEADER_BYTES && readU16(bytes, at) === MAGIC;
        if (!isOurs && this.strangers.size < MAX_STRANGERS) this.strangers.add(address);
        return;
      }
      this.streams.add(address);
      this.take(bytes.subarray(at, at + length), address, true);
      at += length;
    }
  }

  private take(bytes: Buffer, address: string, isByGroup: boolean): void {
    const { length } = bytes;
    if (packetLength(bytes, 0, length) !== length || this.heard.length >= MAX_HEARD) return;
    if (packetType(bytes, 0) !== PacketType.probeAnswer) {
      if (!isByGroup && this.others.length < MAX_OTHERS) this.others.push(bytes);
      return;
    }
    const answer = decodeProbeAnswer(bytes);
    if (answer?.client === this.client) {
      this.heard.push({ answer, address, isByGroup, length, atMs: now() });
    }
  }

  /** How many of these probes were answered by that way. */
  countAnswered(numbers: readonly number[], isByGroup?: boolean): number {
    const wanted = new Set(numbers);
    const found = this.heard.filter(
      (heard) => isByGroup === undefined || heard.isByGroup === isByGroup,
    );
    return new Set(found.map(({ answer }) => answer.number).filter((n) => wanted.has(n))).size;
  }

  close(): void {
    this.socket.close();
  }
}
