/**
 * Sends to the multicast group: whole trains that the kernel cuts into packets (UDP_SEGMENT),
 * or, where that is missing, one plain datagram at a time.
 */
import type dgram from 'node:dgram';
import type { Payloads } from '../../server/train.js';
import { loadNative, type Native } from '../native.js';
import { descriptorOf } from './descriptors.js';
import { isIPv6Address } from './family.js';
import type { ChosenInterface } from './network-interface.js';
import { PlainSender } from './plain-sender.js';
import { sendByAgain } from './renewal.js';
import {
  createUdpSocket,
  openNativeSocket,
  SOL_UDP,
  setNativeSendBuffer,
  socketAddress,
  UDP_SEGMENT,
} from './socket-options.js';
import { longestTrainBytes } from './train-length.js';
import { TrainSender, WAITS } from './train-sender.js';
import { adoptSocket, bindSocket, connectSocket, networkFailure } from './udp-binding.js';

export interface GroupOptions {
  group: string;
  port: number;
  chosen: ChosenInterface;
  ttl: number;
  offload: boolean;
}

/** Without offload a train is only a batch of single sends; it still fills a buffer. */
const PLAIN_TRAIN_BYTES = 32_000;
/** The send queue holds a few trains; more would only hide the network's pace from us. */
const SEND_BUFFER_BYTES = 2 * 1024 * 1024;

/** Bytes to send: one packet, or a train of them. */
export interface Outgoing {
  bytes: Buffer;
  length: number;
  /** Length of each packet but the last, which may be shorter. */
  packetBytes: number;
  /** Where the payloads lie, when `bytes` has only the headers. */
  payloads: Payloads | null;
}

export interface GroupSender {
  /** What is in use, for messages. */
  readonly transport: string;
  readonly mostTrainBytes: number;
  /** Whether payloads may be left where they lie. */
  readonly gathers: boolean;
  /** No room for more: `done` of the last send tells when there is. */
  readonly isBusy: boolean;
  /** The bytes may be reused once `done` is called, which may be at once. */
  send(outgoing: Outgoing, done: (error: Error | null) => void): void;
  /** From now on programs on this machine hear what is sent, too. */
  loopBack(): void;
  /** Sends by an interface that may have been made anew. */
  renew(chosen: ChosenInterface): void;
  close(): void;
}

/** @param packetBytes length of a full block packet, at which trains are cut */
export async function openGroupSender(
  options: GroupOptions,
  packetBytes: number,
): Promise<GroupSender> {
  const { group, port, chosen, ttl } = options;
  const native = options.offload ? loadNative() : null;
  const socket = createUdpSocket(group, { reuse: false });
  const anyAddress = isIPv6Address(group) ? '::' : '0.0.0.0';
  let canSegment = false;
  let fd = -1;
  if (native === null) {
    fd = await descriptorOf(() => bindSocket(socket, anyAddress, 0));
  } else {
    fd = openNativeSocket(native, socketAddress(anyAddress, 0));
    setNativeSendBuffer(native, fd, SEND_BUFFER_BYTES);
    canSegment = native.setOption(fd, SOL_UDP, UDP_SEGMENT, packetBytes);
    await adoptSocket(socket, fd);
  }
  try {
    if (chosen.multicastAddress !== undefined)
      socket.setMulticastInterface(chosen.multicastAddress);
    socket.setMulticastTTL(ttl);
    // A copy of each packet for this machine would cost a tenth of what sending does, mostly in vain.
    socket.setMulticastLoopback(false);
    if (native === null) socket.setSendBufferSize(SEND_BUFFER_BYTES);
  } catch (error) {
    throw networkFailure(error, group, chosen);
  }
  // Connected, a send needs no address and no look-up.
  try {
    await connectSocket(socket, group, port);
  } catch (error) {
    throw networkFailure(error, group, chosen);
  }
  socket.removeAllListeners('error');
  socket.on('error', () => {});
  return native !== null && canSegment
    ? trainSender(native, fd, socket, packetBytes)
    : plainSender(socket, fd);
}

function trainSender(
  native: Native,
  fd: number,
  socket: dgram.Socket,
  packetBytes: number,
): GroupSender {
  const mostTrainBytes = longestTrainBytes(packetBytes);
  const sender = new TrainSender(native, fd, mostTrainBytes);
  return {
    transport: 'segmentation offload',
    mostTrainBytes,
    gathers: true,
    get isBusy() {
      return sender.isBusy;
    },
    send({ bytes, length, packetBytes, payloads }, done) {
      const result = sender.send(bytes, length, packetBytes, payloads, () => done(null));
      if (result !== WAITS) done(result === 0 ? null : new Error(`error ${result}`));
    },
    loopBack: () => socket.setMulticastLoopback(true),
    renew: (now) => sendByAgain(socket, now),
    close() {
      sender.stop();
      socket.close();
    },
  };
}

function plainSender(socket: dgram.Socket, fd: number): GroupSender {
  const sender = new PlainSender(socket, fd);
  return {
    transport: 'plain datagrams',
    mostTrainBytes: PLAIN_TRAIN_BYTES,
    gathers: false,
    get isBusy() {
      return sender.isBusy;
    },
    send: ({ bytes, length, packetBytes }, done) => sender.send(bytes, length, packetBytes, done),
    loopBack: () => socket.setMulticastLoopback(true),
    renew: (now) => sendByAgain(socket, now),
    close: () => sender.close(),
  };
}
