/** Where the doctor of a server is asked, and answers. */

import { randomBytes } from 'node:crypto';
import type dgram from 'node:dgram';
import { hostname } from 'node:os';
import { ProbeAnswering } from '../../doctor/probe-answering.js';
import { BLOCK_HEADER_BYTES } from '../../protocol/block.js';
import { decodeProbe } from '../../protocol/probe.js';
import { isIPv6Address } from '../net/family.js';
import type { GroupSender } from '../net/group-socket.js';
import { blockSizeFor, type ChosenInterface } from '../net/network-interface.js';
import { openGroupSender } from '../net/open-group.js';
import { OwnAddresses } from '../net/own-addresses.js';
import { descriptorOf } from '../net/plain/descriptors.js';
import { openServerSocket, refuseTakenPort } from '../net/request-socket.js';
import type { ServerOptions } from '../options.js';
import { now } from '../system/clock.js';
import { loadNative } from '../system/native.js';
import { BurstSender } from './burst-sender.js';

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
/** Never cut packets up, whatever is known of the path. */
const PMTUDISC_PROBE = 3;
/** More than that are not told. */
const MAX_ASKERS = 100;

export class AnsweringLine {
  readonly session: bigint;
  /** Addresses that asked. */
  readonly askers = new Set<string>();
  /** Probes of this id are this doctor's own. */
  ownClient: bigint | null = null;
  private readonly socket: dgram.Socket;
  private readonly sender: GroupSender;
  private readonly answering: ProbeAnswering;
  private readonly bursts: BurstSender;
  private readonly ownAddresses = new OwnAddresses();

  private constructor(
    options: ServerOptions,
    packetBytes: number,
    socket: dgram.Socket,
    sender: GroupSender,
  ) {
    const { group, port } = options;
    this.socket = socket;
    this.sender = sender;
    this.session = randomBytes(8).readBigUInt64BE();
    this.answering = new ProbeAnswering({
      session: this.session,
      isDoctor: true,
      packetBytes,
      imageSize: 0,
      port,
      group,
      name: hostname(),
    });
    this.bursts = new BurstSender(sender, packetBytes);
    // What cannot be read is lost, like a packet on the way.
    socket.removeAllListeners('error');
    socket.on('error', () => {});
    socket.on('message', (bytes, { address, port }) => this.take(bytes, address, port));
  }

  /** @throws Failure when the port is taken, or the group cannot be joined */
  static async open(options: ServerOptions, chosen: ChosenInterface): Promise<AnsweringLine> {
    const { group, port, ttl, offload, mtu, ownsProcess = true } = options;
    await refuseTakenPort(options);
    let socket: dgram.Socket | null = null;
    try {
      const fd = await descriptorOf(async () => {
        socket = (await openServerSocket(options, chosen)).socket;
      });
      forbidFragments(fd, isIPv6Address(group));
      const packetBytes = blockSizeFor(mtu, chosen, group) + BLOCK_HEADER_BYTES;
      const common = { group, port, chosen, ttl, offload, ownsProcess };
      const sender = await openGroupSender(common, packetBytes);
      return new AnsweringLine(options, packetBytes, socket!, sender);
    } catch (error) {
      (socket as dgram.Socket | null)?.close();
      throw error;
    }
  }

  private take(bytes: Buffer, address: string, port: number): void {
    if (!ProbeAnswering.isProbe(bytes)) return;
    const probe = decodeProbe(bytes);
    if (probe === null || probe.client === this.ownClient) return;
    if (this.askers.size < MAX_ASKERS) this.askers.add(address);
    const answer = this.answering.answer(bytes, now());
    if (answer === null) return;
    if (this.ownAddresses.has(address)) this.sender.loopBack();
    if (answer.kind === 'burst') this.bursts.send(answer.packets, answer.rateBytesPerMs);
    else if (answer.kind === 'unicast') this.socket.send(answer.bytes, port, address, () => {});
    else {
      const { bytes } = answer;
      const { length } = bytes;
      this.sender.send({ bytes, length, packetBytes: length, payloads: null }, () => {});
    }
  }

  close(): void {
    this.socket.close();
    this.sender.close();
  }
}

/** @param fd -1 where it is not known: then the system's default stands */
function forbidFragments(fd: number, isV6: boolean): void {
  const [level, name] = isV6 ? [IPPROTO_IPV6, IPV6_MTU_DISCOVER] : [IPPROTO_IP, IP_MTU_DISCOVER];
  if (fd >= 0) loadNative()?.setOption(fd, level, name, PMTUDISC_PROBE);
}
