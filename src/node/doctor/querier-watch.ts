/**
 * Listens for a querier: whoever asks on the network who listens to which group (IGMP, RFC 3376).
 * They ask every two minutes, which is too seldom to wait for. But where a host leaves a group,
 * they ask whether others stay: so a group that nobody uses is joined, and left again.
 */

import { closeSync, readSync } from 'node:fs';
import { isIPv6Address } from '../net/family.js';
import type { ChosenInterface } from '../net/network-interface.js';
import { createUdpSocket, joinNodeGroup } from '../net/node-socket.js';
import { loadNative, type Native } from '../system/native.js';
import { readSmall } from './link-facts.js';

const AF_PACKET = 17;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const ETH_P_IP = 0x0800;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_ALLMULTI = 2;
const IGMP_QUERY = 0x11;

/** A program of the kernel's packet filter (classic BPF); each step has eight bytes. */
const ONLY_IGMP = Buffer.from(
  [
    '3000000009000000', // A = the protocol, byte 9 of the IP header
    '1500000102000000', // if it is not 2 (IGMP), skip one
    '06000000ffff0000', // take the packet
    '0600000000000000', // take nothing
  ].join(''),
  'hex',
);

/** For this only; from the block for local use (RFC 2365). */
const TRIAL_GROUP = '239.255.77.10';
const LEAVE_AFTER_MS = 400;
const LOOK_MS = 50;

export class QuerierWatch {
  private readonly fd: number;
  private readonly packet = Buffer.alloc(128);
  private readonly trial: { close(): void };
  private readonly timer: NodeJS.Timeout;
  private heard = false;

  private constructor(fd: number, trial: { close(): void }) {
    this.fd = fd;
    this.trial = trial;
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  /** @returns null where it takes rights or parts that are not there */
  static open(chosen: ChosenInterface, group: string): QuerierWatch | null {
    const native = loadNative();
    if (native === null || isIPv6Address(group)) return null;
    const index = Number(readSmall(`/sys/class/net/${chosen.label}/ifindex`) ?? 0);
    const fd = native.socket(AF_PACKET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
    if (fd < 0) return null;
    if (index > 0 && prepare(native, fd, index)) return new QuerierWatch(fd, startTrial(chosen));
    native.close(fd);
    return null;
  }

  private look(): void {
    try {
      for (;;) {
        const length = readSync(this.fd, this.packet, 0, this.packet.length, null);
        const headerBytes = (this.packet[0]! & 15) * 4;
        if (length > headerBytes && this.packet[headerBytes] === IGMP_QUERY) this.heard = true;
      }
    } catch {
      // Nothing more has come.
    }
  }

  /** Ends it. @returns whether a querier was heard */
  close(): boolean {
    this.look();
    clearInterval(this.timer);
    this.trial.close();
    closeSync(this.fd);
    return this.heard;
  }
}

/** Lets through IGMP only, of one interface, to whichever group. */
function prepare(native: Native, fd: number, index: number): boolean {
  const filter = Buffer.alloc(16);
  filter.writeUInt16LE(ONLY_IGMP.length / 8, 0);
  filter.writeBigUInt64LE(native.addressOf(ONLY_IGMP), 8);
  if (!native.setOptionBytes(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter)) return false;
  const membership = Buffer.alloc(16);
  membership.writeInt32LE(index, 0);
  membership.writeUInt16LE(PACKET_MR_ALLMULTI, 4);
  native.setOptionBytes(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership);
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_IP, 2);
  address.writeInt32LE(index, 4);
  return native.bind(fd, address, address.length) === 0;
}

/** Joins the group that nobody uses, and leaves it in a while. */
function startTrial(chosen: ChosenInterface): { close(): void } {
  const socket = createUdpSocket(TRIAL_GROUP, { reuse: true });
  socket.on('error', () => {});
  let timer: NodeJS.Timeout | undefined;
  socket.bind({ port: 0, exclusive: true }, () => {
    const leave = joinNodeGroup(socket, TRIAL_GROUP, chosen);
    timer = setTimeout(() => leave?.(), LEAVE_AFTER_MS);
  });
  return {
    close() {
      clearTimeout(timer);
      socket.close();
    },
  };
}
