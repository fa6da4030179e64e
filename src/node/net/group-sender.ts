/**
 * Sends to the multicast group: whole trains that the kernel cuts into packets (UDP_SEGMENT),
 * or, where that is missing, one plain datagram at a time.
 */
import type dgram from 'node:dgram';
import { constants, networkInterfaces } from 'node:os';
import type { Payloads } from '../../server/train.js';
import { loadNative, type Native } from '../native.js';
import { descriptorOf } from './descriptors.js';
import { isIPv6Address } from './family.js';
import type { ChosenInterface } from './network-interface.js';
import { PlainSender } from './plain-sender.js';
import { sendByAgain } from './renewal.js';
import {
  allowFragments,
  createUdpSocket,
  openNativeSocket,
  SOL_UDP,
  setNativeSendBuffer,
  socketAddress,
  UDP_SEGMENT,
} from './socket-options.js';
import { longestTrainBytes } from './train-length.js';
import { copyTrain, TrainSender, WAITS } from './train-sender.js';
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
  /** Sends by an interface that may have been made anew, or have other addresses. */
  renew(chosen: ChosenInterface): void;
  /** Tries to do something about sends that fail. @returns what was done, as a clause, or null */
  mend(code: string): string | null;
  /** The address that packets come from, as far as it is known. */
  readonly sourceAddress: string;
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
  const line = new Line(socket, group, port, chosen);
  return native !== null && canSegment
    ? trainSender(native, fd, socket, packetBytes, line)
    : plainSender(socket, fd, line);
}

/** Whether this machine has an address just now. @param address perhaps with a scope */
function isOwnAddress(address: string): boolean {
  const bare = address.split('%')[0];
  const entries = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return entries.some((entry) => entry.address === bare);
}

/** The socket's connection to the group, which has a source address of its own. */
class Line {
  #isConnecting = false;
  #chosenAddress: string | undefined;

  constructor(
    private readonly socket: dgram.Socket,
    private readonly group: string,
    private readonly port: number,
    chosen: ChosenInterface,
  ) {
    this.#chosenAddress = chosen.multicastAddress;
  }

  get sourceAddress(): string {
    try {
      return this.socket.address().address;
    } catch {
      return '';
    }
  }

  /** Sends from the address that the interface has now. */
  renew(chosen: ChosenInterface): void {
    sendByAgain(this.socket, chosen);
    const isOther = chosen.multicastAddress !== this.#chosenAddress;
    this.#chosenAddress = chosen.multicastAddress;
    if (isOther || !isOwnAddress(this.sourceAddress)) this.reconnect();
  }

  reconnect(): void {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    try {
      this.socket.disconnect();
    } catch {
      // It was not connected.
    }
    const over = (): void => {
      this.#isConnecting = false;
    };
    connectSocket(this.socket, this.group, this.port).then(over, over);
  }
}

function trainSender(
  native: Native,
  fd: number,
  socket: dgram.Socket,
  packetBytes: number,
  line: Line,
): GroupSender {
  const mostTrainBytes = longestTrainBytes(packetBytes);
  const sender = new TrainSender(native, fd, mostTrainBytes);
  /** Once the card or the path takes no trains. */
  let plain: PlainSender | null = null;
  const whole = Buffer.alloc(mostTrainBytes);
  return {
    transport: 'segmentation offload',
    mostTrainBytes,
    gathers: true,
    get isBusy() {
      return plain?.isBusy ?? sender.isBusy;
    },
    get sourceAddress() {
      return line.sourceAddress;
    },
    send({ bytes, length, packetBytes, payloads }, done) {
      if (plain !== null) {
        if (payloads === null) bytes.copy(whole, 0, 0, length);
        else copyTrain(whole, bytes, length, packetBytes, payloads);
        plain.send(whole, length, packetBytes, done);
        return;
      }
      const result = sender.send(bytes, length, packetBytes, payloads, () => done(null));
      if (result !== WAITS) done(result === 0 ? null : systemError(result));
    },
    loopBack: () => socket.setMulticastLoopback(true),
    renew: (now) => line.renew(now),
    mend(code) {
      const mayBeTrains = code === 'EMSGSIZE' || code === 'EIO' || code === 'EINVAL';
      if (!mayBeTrains) {
        line.reconnect();
        return null;
      }
      if (code === 'EINVAL') line.reconnect();
      if (plain !== null) return null;
      native.setOption(fd, SOL_UDP, UDP_SEGMENT, 0);
      allowFragments(native, fd, isIPv6Address(line.sourceAddress));
      plain = new PlainSender(socket, fd);
      return 'from now on they go as plain datagrams, in fragments where need be';
    },
    close() {
      sender.stop();
      socket.close();
    },
  };
}

/** What the system said, as an error of Node's kind. */
function systemError(number: number): NodeJS.ErrnoException {
  const code = Object.entries(constants.errno).find(([, value]) => value === number)?.[0];
  return Object.assign(new Error(`error ${number}`), { code: code ?? `error ${number}` });
}

function plainSender(socket: dgram.Socket, fd: number, line: Line): GroupSender {
  const sender = new PlainSender(socket, fd);
  return {
    transport: 'plain datagrams',
    mostTrainBytes: PLAIN_TRAIN_BYTES,
    gathers: false,
    get isBusy() {
      return sender.isBusy;
    },
    send: ({ bytes, length, packetBytes }, done) => sender.send(bytes, length, packetBytes, done),
    get sourceAddress() {
      return line.sourceAddress;
    },
    loopBack: () => socket.setMulticastLoopback(true),
    renew: (now) => line.renew(now),
    mend(code) {
      const native = loadNative();
      if (code !== 'EMSGSIZE') line.reconnect();
      else if (native !== null && fd >= 0) {
        allowFragments(native, fd, isIPv6Address(line.sourceAddress));
        return 'from now on they go in fragments';
      }
      return null;
    },
    close: () => sender.close(),
  };
}
