/**
 * Sends to the multicast group: whole trains that the kernel cuts into packets (UDP_SEGMENT),
 * or, where that is missing, one plain datagram at a time.
 */
import type dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { loadNative } from '../native.js';
import type { ChosenInterface } from './network-interface.js';
import {
  createUdpSocket,
  openNativeSocket,
  SOL_UDP,
  socketAddress,
  UDP_SEGMENT,
} from './socket-options.js';
import { adoptSocket, bindSocket, networkFailure } from './udp-binding.js';

export interface GroupOptions {
  group: string;
  port: number;
  chosen: ChosenInterface;
  ttl: number;
  offload: boolean;
}

/** Longest train: what one UDP datagram may measure. */
const OFFLOAD_TRAIN_BYTES = 65_000;
/** Without offload a train is only a batch of single sends; it still fills a buffer. */
const PLAIN_TRAIN_BYTES = 32_000;
/** The send queue holds a few trains; more would only hide the network's pace from us. */
const SEND_BUFFER_BYTES = 1024 * 1024;

export interface GroupSender {
  /** What is in use, for messages. */
  readonly transport: string;
  readonly mostTrainBytes: number;
  /**
   * Sends `bytes[0, length)`, cut at `packetBytes`. The buffer may be reused once `done` is called.
   */
  send(
    bytes: Buffer,
    length: number,
    packetBytes: number,
    done: (error: Error | null) => void,
  ): void;
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
  const anyAddress = isIPv6(group) ? '::' : '0.0.0.0';
  let canSegment = false;
  if (native === null) {
    await bindSocket(socket, anyAddress, 0);
  } else {
    const fd = openNativeSocket(native, socketAddress(anyAddress, 0));
    canSegment = native.setOption(fd, SOL_UDP, UDP_SEGMENT, packetBytes);
    await adoptSocket(socket, fd);
  }
  try {
    if (chosen.multicastAddress !== undefined)
      socket.setMulticastInterface(chosen.multicastAddress);
    socket.setMulticastTTL(ttl);
    socket.setMulticastLoopback(true);
    socket.setSendBufferSize(SEND_BUFFER_BYTES);
  } catch (error) {
    throw networkFailure(error, group, chosen);
  }
  // Connected, a send needs no address and no look-up.
  await new Promise<void>((resolve, reject) => {
    // Node hands an error to the callback, though its type does not say so.
    const connected = (error?: Error) => {
      if (error === undefined || error === null) resolve();
      else reject(networkFailure(error, group, chosen));
    };
    socket.connect(port, group, connected);
  });
  socket.removeAllListeners('error');
  socket.on('error', () => {});
  return {
    transport: canSegment ? 'segmentation offload' : 'plain datagrams',
    mostTrainBytes: canSegment ? OFFLOAD_TRAIN_BYTES : PLAIN_TRAIN_BYTES,
    send: canSegment
      ? (bytes, length, _packetBytes, done) => socket.send(bytes, 0, length, done)
      : (bytes, length, size, done) => sendSingly(socket, bytes, length, size, done),
    close: () => socket.close(),
  };
}

function sendSingly(
  socket: dgram.Socket,
  bytes: Buffer,
  length: number,
  packetBytes: number,
  done: (error: Error | null) => void,
): void {
  let left = Math.ceil(length / packetBytes);
  let failure: Error | null = null;
  const sent = (error: Error | null) => {
    failure ??= error;
    if (--left === 0) done(failure);
  };
  for (let at = 0; at < length; at += packetBytes) {
    socket.send(bytes, at, Math.min(packetBytes, length - at), sent);
  }
}
