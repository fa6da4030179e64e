/**
 * Receives from the group on Linux, through the C library: many datagrams to a call (recvmmsg),
 * coalesced by the kernel where it can (UDP_GRO), and looked for by the clock.
 *
 * Why: an event for every few packets costs more than all the rest of receiving them, and a call
 * for each ends near 130 MB/s. May be deleted, with `batch-reader.ts` and `batch-layout.ts`, once
 * Node's dgram hands over many datagrams, or coalesced ones, in one event; `plain/` then does it
 * all.
 */

import { getSystemErrorName } from 'node:util';
import type { Native } from '../../system/native.js';
import { isIPv6Address } from '../family.js';
import type { GroupHandler, GroupOptions, GroupReceiver } from '../group-socket.js';
import { Membership } from '../membership.js';
import type { ChosenInterface } from '../network-interface.js';
import { networkFailure } from '../node-socket.js';
import { ReadTrouble } from '../read-trouble.js';
import { BatchReader } from './batch-reader.js';
import {
  growNativeReceiveBuffer,
  joinGroup,
  openNativeSocket,
  SOL_UDP,
  socketAddress,
  UDP_GRO,
} from './native-socket.js';
import { Poller } from './poller.js';

/** The number is no socket of ours any more, and perhaps another's file: it must not be closed. */
const LOST_CODES = new Set(['EBADF', 'ENOTSOCK']);

/** @throws Failure when the port is taken, or the group cannot be joined */
export function openLinuxReceiver(
  options: GroupOptions,
  handler: GroupHandler,
  native: Native,
): GroupReceiver {
  return new LinuxReceiver(options, handler, native);
}

interface OpenSocket {
  fd: number;
  membership: Membership;
  receiveBufferBytes: number;
  canCoalesce: boolean;
}

class LinuxReceiver implements GroupReceiver {
  private chosen: ChosenInterface;
  private socket: OpenSocket;
  private readonly reader: BatchReader;
  private readonly trouble: ReadTrouble;
  private readonly poller: Poller;

  constructor(
    private readonly options: GroupOptions,
    handler: GroupHandler,
    private readonly native: Native,
  ) {
    const { group, chosen } = options;
    this.chosen = chosen;
    this.socket = this.openSocket();
    this.reader = new BatchReader(native, this.socket.fd, isIPv6Address(group));
    const what = `what comes from group ${group} on interface ${chosen.label}`;
    this.trouble = new ReadTrouble(what, handler.onNotice);
    this.poller = new Poller(this.reader, handler, this.socket.receiveBufferBytes, {
      failed: (error) => this.failed(getSystemErrorName(-error)),
      succeeded: () => this.trouble.succeeded(),
    });
  }

  /** @throws Failure when the port is taken, or the group cannot be joined */
  private openSocket(): OpenSocket {
    const { native, chosen } = this;
    const { group, port } = this.options;
    // Bound to the group's own address, the socket hears no other group of this port.
    const fd = openNativeSocket(native, socketAddress(group, port, chosen.label));
    const membership = new Membership(group, (now) => joinGroup(native, fd, group, now));
    if (!membership.join(chosen)) {
      native.close(fd);
      throw networkFailure(new Error('the group cannot be joined'), group, chosen);
    }
    const receiveBufferBytes = growNativeReceiveBuffer(native, fd);
    const canCoalesce = native.setOption(fd, SOL_UDP, UDP_GRO, 1);
    return { fd, membership, receiveBufferBytes, canCoalesce };
  }

  get transport(): string {
    return this.socket.canCoalesce ? 'batches and coalescing' : 'batches';
  }

  get receiveBufferBytes(): number {
    return this.socket.receiveBufferBytes;
  }

  expect(packetBytes: number): void {
    this.reader.expect(packetBytes);
  }

  tendMembership(chosen: ChosenInterface, isDoubted: boolean): boolean {
    this.chosen = chosen;
    return this.socket.membership.tend(chosen, isDoubted);
  }

  /** A read failed; where that goes on, the socket is opened anew. */
  private failed(code: string): void {
    if (!this.trouble.failed(code)) return;
    const { fd } = this.socket;
    try {
      this.socket = this.openSocket();
    } catch (error) {
      this.trouble.notOpened(error);
      return;
    }
    if (!LOST_CODES.has(code)) this.native.close(fd);
    this.reader.turnTo(this.socket.fd);
  }

  close(): void {
    this.poller.stop();
    this.native.close(this.socket.fd);
  }
}
