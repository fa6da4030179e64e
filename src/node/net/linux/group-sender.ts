/**
 * Sends to the group on Linux: whole trains, which the kernel or the card cuts into packets
 * (UDP_SEGMENT).
 *
 * Why: one call for each packet ends near 130 MB/s, in any language; trains go out at over 3 GB/s.
 * May be deleted, with `train-sender.ts` and `iovecs.ts`, once Node's dgram sends trains and
 * gathers them from several buffers; `plain/` then does it all.
 */

import { getSystemErrorName } from 'node:util';
import type { Native } from '../../system/native.js';
import { isIPv6Address } from '../family.js';
import { GroupConnection } from '../group-connection.js';
import type { GroupOptions, GroupSender } from '../group-socket.js';
import { adoptSocket, createUdpSocket, SEND_BUFFER_BYTES } from '../node-socket.js';
import { DatagramSender } from '../plain/datagram-sender.js';
import { maxTrainBytesOf } from '../train-length.js';
import {
  allowFragments,
  openNativeSocket,
  SOL_UDP,
  setNativeSendBuffer,
  socketAddress,
  UDP_SEGMENT,
} from './native-socket.js';
import { copyTrain, TrainSender, WAITS } from './train-sender.js';

/** What a system says that takes no trains by this card or path. */
const REFUSES_TRAINS = new Set(['EMSGSIZE', 'EIO', 'EINVAL']);

/**
 * @param packetBytes length of a full block packet, at which trains are cut
 * @returns null where the kernel knows no trains
 * @throws Failure when nothing can be sent to the group by that interface
 */
export async function openLinuxSender(
  options: GroupOptions,
  packetBytes: number,
  native: Native,
): Promise<GroupSender | null> {
  const { group } = options;
  const fd = openNativeSocket(native, socketAddress(isIPv6Address(group) ? '::' : '0.0.0.0', 0));
  setNativeSendBuffer(native, fd, SEND_BUFFER_BYTES);
  if (!native.setOption(fd, SOL_UDP, UDP_SEGMENT, packetBytes)) {
    native.close(fd);
    return null;
  }
  const socket = createUdpSocket(group, { reuse: false });
  await adoptSocket(socket, fd);
  const connection = await GroupConnection.open(socket, options);
  const mostTrainBytes = maxTrainBytesOf(packetBytes);
  const trains = new TrainSender(native, fd, mostTrainBytes);
  /** Once the card or the path takes no trains. */
  let datagrams: DatagramSender | null = null;
  const whole = Buffer.alloc(mostTrainBytes);
  return {
    transport: 'segmentation offload',
    mostTrainBytes,
    gathers: true,
    get isBusy() {
      return datagrams?.isBusy ?? trains.isBusy;
    },
    get sourceAddress() {
      return connection.sourceAddress;
    },
    send({ bytes, length, packetBytes, payloads }, done) {
      if (datagrams !== null) {
        if (payloads === null) bytes.copy(whole, 0, 0, length);
        else copyTrain(whole, bytes, length, packetBytes, payloads);
        datagrams.send(whole, length, packetBytes, done);
        return;
      }
      const end = (error: number): void => done(error === 0 ? null : systemError(error));
      const result = trains.send(bytes, length, packetBytes, payloads, end);
      if (result !== WAITS) end(result);
    },
    loopBack: () => connection.loopBack(),
    renew: (now) => connection.renew(now),
    mend(code) {
      if (!REFUSES_TRAINS.has(code) || code === 'EINVAL') connection.reconnect();
      if (!REFUSES_TRAINS.has(code) || datagrams !== null) return null;
      native.setOption(fd, SOL_UDP, UDP_SEGMENT, 0);
      allowFragments(native, fd, isIPv6Address(connection.sourceAddress));
      datagrams = new DatagramSender(socket, fd);
      return 'from now on they go as plain datagrams, in fragments where need be';
    },
    close() {
      trains.stop();
      socket.close();
    },
  };
}

/** What the system said, as an error of Node's kind. */
function systemError(number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-number);
  return Object.assign(new Error(code), { code });
}
