/**
 * The sockets of the multicast group, one seam for both ways of doing it: with the kernel's
 * segmentation offload and many datagrams to a call, or one plain datagram at a time. What
 * comes and goes is the same: packets back to back in a buffer.
 */
import type dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { Failure } from '../failure.js';
import { BatchReader } from './batch-reader.js';
import { loadNative, type Native } from './native.js';
import type { ChosenInterface } from './network-interface.js';
import {
  createUdpSocket,
  SOL_UDP,
  socketAddress,
  tryGrowReceiveBuffer,
  UDP_GRO,
  UDP_SEGMENT,
} from './socket-options.js';

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
const WANTED_RECEIVE_BUFFER_BYTES = 64 * 1024 * 1024;
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
  const { socket, fd } = createUdpSocket(group, native, { reuse: false });
  await bindSocket(socket, fd, isIPv6(group) ? '::' : '0.0.0.0', 0);
  const canSegment =
    native !== null && fd >= 0 && native.setOption(fd, SOL_UDP, UDP_SEGMENT, packetBytes);
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
    socket.once('error', (error) => reject(networkFailure(error, group, chosen)));
    socket.connect(port, group, resolve);
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

export interface GroupReceiver {
  readonly transport: string;
  /** What the kernel granted. */
  readonly receiveBufferBytes: number;
  close(): void;
}

/** Packets back to back in `bytes[start, end)`, from `address`. The bytes are only lent. */
export type PacketsHandler = (bytes: Buffer, start: number, end: number, address: string) => void;

/**
 * @param onPackets called for each datagram or train
 * @param onBatch called when what was there to read has been handed over
 */
export async function openGroupReceiver(
  options: GroupOptions,
  onPackets: PacketsHandler,
  onBatch: () => void,
): Promise<GroupReceiver> {
  const { group, port, chosen } = options;
  const native = options.offload ? loadNative() : null;
  const { socket, fd } = createUdpSocket(group, native, { reuse: true });
  // Bound to the group's own address, the socket hears no other group of this port.
  await bindSocket(socket, fd, group, port, chosen);
  try {
    socket.addMembership(group, chosen.multicastAddress);
  } catch (error) {
    socket.close();
    throw networkFailure(error, group, chosen);
  }
  const receiveBufferBytes = tryGrowReceiveBuffer(socket, fd, native, WANTED_RECEIVE_BUFFER_BYTES);
  const canCoalesce = native !== null && fd >= 0 && native.setOption(fd, SOL_UDP, UDP_GRO, 1);
  const batch = native !== null && fd >= 0 ? new BatchReader(native, fd, isIPv6(group)) : null;
  socket.on('error', () => {});
  socket.on('message', (message, { address }) => {
    onPackets(message, 0, message.length, address);
    // One event tells that there is more: the rest comes in a few calls, without an event each.
    batch?.drain(onPackets);
    onBatch();
  });
  return {
    transport:
      batch === null ? 'plain datagrams' : canCoalesce ? 'batches and coalescing' : 'batches',
    receiveBufferBytes,
    close: () => socket.close(),
  };
}

/** Binds through the C library where the descriptor came from it, else through Node. */
export async function bindSocket(
  socket: dgram.Socket,
  fd: number,
  address: string,
  port: number,
  chosen?: ChosenInterface,
  native: Native | null = loadNative(),
): Promise<void> {
  if (fd >= 0 && native !== null) {
    const bytes = socketAddress(address, port, chosen?.label);
    if (native.bind(fd, bytes, bytes.length) !== 0) throw portTaken(port);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd }, resolve);
    });
  } else {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', () => reject(portTaken(port)));
      socket.bind({ address, port, exclusive: true }, resolve);
    });
  }
  socket.removeAllListeners('error');
}

function portTaken(port: number): Failure {
  return new Failure(
    'network',
    'PORT_TAKEN',
    `UDP port ${port} cannot be used: another program (another multiserver?) may have it; choose another port`,
  );
}

function networkFailure(error: unknown, group: string, chosen: ChosenInterface): Failure {
  const detail = error instanceof Error ? error.message : String(error);
  return new Failure(
    'network',
    'NO_MULTICAST',
    `multicast to ${group} on interface ${chosen.label} does not work (${detail}); name an interface with -i`,
  );
}
