/**
 * Receives from the group through Node alone. Node has an event for each datagram. Once the stream
 * flows, an event is only the sign to look: what waits is read as from a file, and packets are let
 * gather.
 *
 * Why: it works on every system, without koffi. It stays, as it is what remains without `linux/`.
 * What reads sockets as files (`socket-reader.ts`) may be deleted.
 */
import type dgram from 'node:dgram';
import type { Address } from '../../../protocol/address.js';
import type { GroupHandler, GroupOptions, GroupReceiver } from '../group-socket.js';
import { LastingSocket } from '../lasting-socket.js';
import { Membership } from '../membership.js';
import type { ChosenInterface } from '../network-interface.js';
import {
  bindSocket,
  connectSocket,
  createUdpSocket,
  joinNodeGroup,
  networkFailure,
  tryGrowReceiveBuffer,
} from '../node-socket.js';
import { ReadTrouble } from '../read-trouble.js';
import { descriptorOf } from './descriptors.js';
import { gatheringMsFor, PacketGathering } from './packet-gathering.js';
import { SocketReader } from './socket-reader.js';

/** Datagrams in a row that make their sender the stream's. */
const STREAM_BEGINS = 64;
/** Without a block for so long, the stream may come from elsewhere. */
const STREAM_ENDS_MS = 1000;
/** Read before the event loop gets its turn. */
const MAX_BYTES_PER_TURN = 1024 * 1024;

/** @throws Failure when the port is taken, or the group cannot be joined */
export async function openPlainReceiver(
  options: GroupOptions,
  handler: GroupHandler,
): Promise<GroupReceiver> {
  const receiver = new PlainReceiver(options, handler);
  await receiver.open();
  return receiver;
}

class PlainReceiver implements GroupReceiver {
  readonly transport = 'plain datagrams';
  private readonly trouble: ReadTrouble;
  private readonly gathering: PacketGathering;
  private sleepMs = 0;
  private chosen: ChosenInterface;
  private socket: LastingSocket | null = null;
  private membership: Membership | null = null;
  private grantedBytes = 0;
  /** Null where Node's events are the only way. */
  private reader: SocketReader | null = null;
  /** Who sent the stream's last blocks, and how many datagrams in a row. */
  private sender: Address | null = null;
  private inRow = 0;
  /**
   * What is read as from a file does not tell its sender, so the socket is connected to it first:
   * the kernel then takes from nobody else.
   */
  private isConnected = false;
  /** What came before the socket was connected is out of it. */
  private isPure = false;
  private hasStreamed = false;
  /** The reader has left nothing in this turn of the event loop: it looks again in the next one. */
  private isEmptied = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly options: GroupOptions,
    private readonly handler: GroupHandler,
  ) {
    const { group, chosen } = options;
    this.chosen = chosen;
    const what = `what comes from group ${group} on interface ${chosen.label}`;
    this.trouble = new ReadTrouble(what, handler.onNotice);
    const endTurn = (wasEmptied: boolean) => this.endTurn(wasEmptied);
    this.gathering = new PacketGathering(() => this.sleepMs, endTurn);
  }

  /** @throws Failure when the port is taken, or the group cannot be joined */
  async open(): Promise<void> {
    this.socket = await LastingSocket.open(
      {
        open: () => this.openSocket(),
        onMessage: (bytes, from) => this.take(bytes, from),
        onClosed: () => this.forget(),
      },
      this.trouble,
    );
  }

  private async openSocket(): Promise<dgram.Socket> {
    const { group, port, ownsProcess } = this.options;
    const socket = createUdpSocket(group, { reuse: true });
    // Bound to the group's own address, the socket hears no other group of this port.
    const bind = () => bindSocket(socket, group, port);
    const fd = ownsProcess ? await descriptorOf(bind) : await bind().then(() => -1);
    const membership = new Membership(group, (now) => joinNodeGroup(socket, group, now));
    if (!membership.join(this.chosen)) {
      socket.close();
      throw networkFailure(new Error('the group cannot be joined'), group, this.chosen);
    }
    this.membership = membership;
    this.grantedBytes = tryGrowReceiveBuffer(socket);
    this.sleepMs = ownsProcess ? gatheringMsFor(this.grantedBytes) : 0;
    this.reader = fd < 0 ? null : new SocketReader(fd);
    return socket;
  }

  get receiveBufferBytes(): number {
    return this.grantedBytes;
  }

  expect(): void {}

  tendMembership(chosen: ChosenInterface, isDoubted: boolean): boolean {
    this.chosen = chosen;
    return this.membership?.tend(chosen, isDoubted) ?? false;
  }

  private take(message: Buffer, from: Address): void {
    const { onPackets } = this.handler;
    if (onPackets(message, 0, message.length, from.address)) this.noteStream(from);
    const reader = this.isPure ? this.reader : null;
    // What comes after the socket was emptied may gather: to find it empty costs more than ten
    // datagrams.
    if (reader !== null && !this.isEmptied) {
      if (reader.read(onPackets, from.address, MAX_BYTES_PER_TURN)) this.hasStreamed = true;
      this.isEmptied = reader.isEmpty;
      if (reader.failure !== null) this.giveUpReader(reader.failure);
    }
    this.gathering.note(reader === null ? undefined : this.isEmptied);
  }

  /** The descriptor is not what it seemed to be: Node's events go on, and tell if more is wrong. */
  private giveUpReader(code: string): void {
    this.reader = null;
    const { onNotice } = this.handler;
    onNotice(`packets cannot be read in the quick way (${code}); from now on in the slow one`);
  }

  private noteStream({ address, port }: Address): void {
    this.hasStreamed = true;
    if (this.isConnected || this.reader === null) return;
    if (this.sender?.address !== address || this.sender.port !== port) {
      this.sender = { address, port };
      this.inRow = 0;
    }
    this.inRow++;
    if (this.inRow === STREAM_BEGINS) this.connect(address, port);
  }

  private connect(address: string, port: number): void {
    const socket = this.socket?.current ?? null;
    if (socket === null) return;
    connectSocket(socket, address, port).then(
      () => {
        if (this.socket?.current !== socket) return;
        this.isConnected = true;
        this.timer = setInterval(() => this.look(), STREAM_ENDS_MS);
      },
      // Node's events go on as before.
      () => {},
    );
  }

  /** Hears everybody again once the stream has ended. */
  private look(): void {
    if (!this.hasStreamed) {
      this.socket?.current?.disconnect();
      this.forgetSender();
    }
    this.hasStreamed = false;
  }

  private forgetSender(): void {
    clearInterval(this.timer);
    this.isConnected = false;
    this.isPure = false;
    this.sender = null;
  }

  /** The socket is closed: its descriptor may be another file's from now on. */
  private forget(): void {
    this.forgetSender();
    this.reader = null;
    this.membership = null;
  }

  private endTurn(wasEmptied: boolean): void {
    this.isEmptied = false;
    if (wasEmptied && this.isConnected) this.isPure = true;
    this.handler.onBatch();
  }

  close(): void {
    this.socket?.close();
  }
}
