/**
 * Sends to the group through Node alone, a datagram at a time.
 *
 * Why: it works on every system, with every kernel and card, and without koffi.
 * It stays: it is what remains where `linux/` is not there, or is deleted.
 */
import { isIPv6Address } from '../family.js';
import { GroupConnection } from '../group-connection.js';
import type { GroupOptions, GroupSender } from '../group-socket.js';
import { bindSocket, createUdpSocket, networkFailure, SEND_BUFFER_BYTES } from '../node-socket.js';
import { DatagramSender } from './datagram-sender.js';
import { descriptorOf } from './descriptors.js';

/** A train is only a batch of single sends here; it still fills a buffer. */
const PLAIN_TRAIN_BYTES = 32_000;

/**
 * @param allowFragments has packets cut up that are longer than the path's MTU, rather than
 *   refused. It returns whether it could
 * @throws Failure when nothing can be sent to the group by that interface
 */
export async function openPlainSender(
  options: GroupOptions,
  allowFragments: (fd: number, isV6: boolean) => boolean,
): Promise<GroupSender> {
  const { group, chosen, ownsProcess } = options;
  const socket = createUdpSocket(group, { reuse: false });
  const open = () => bindSocket(socket, isIPv6Address(group) ? '::' : '0.0.0.0', 0);
  const fd = ownsProcess ? await descriptorOf(open) : await open().then(() => -1);
  try {
    socket.setSendBufferSize(SEND_BUFFER_BYTES);
  } catch (error) {
    throw networkFailure(error, group, chosen);
  }
  const connection = await GroupConnection.open(socket, options);
  const sender = new DatagramSender(socket, fd);
  return {
    transport: 'plain datagrams',
    mostTrainBytes: PLAIN_TRAIN_BYTES,
    gathers: false,
    get isBusy() {
      return sender.isBusy;
    },
    get sourceAddress() {
      return connection.sourceAddress;
    },
    send: ({ bytes, length, packetBytes }, done) => sender.send(bytes, length, packetBytes, done),
    loopBack: () => connection.loopBack(),
    renew: (now) => connection.renew(now),
    mend(code) {
      if (code !== 'EMSGSIZE') connection.reconnect();
      else if (fd >= 0 && allowFragments(fd, isIPv6Address(connection.sourceAddress))) {
        return 'from now on they go in fragments';
      }
      return null;
    },
    close: () => sender.close(),
  };
}
