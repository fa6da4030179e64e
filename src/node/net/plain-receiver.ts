/**
 * Receives from the group through Node alone. Node has an event for each datagram, which costs
 * several times what taking it from the kernel does. So once the stream flows, an event is only
 * the sign to look: what waits is read as from a file.
 */
import type dgram from 'node:dgram';
import { descriptorOf } from './descriptors.js';
import type { GroupHandler, GroupReceiver } from './group-receiver.js';
import type { GroupOptions } from './group-sender.js';
import { Membership } from './membership.js';
import { PlainReader } from './plain-reader.js';
import { Rest } from './rest.js';
import { createUdpSocket, joinNodeGroup, tryGrowReceiveBuffer } from './socket-options.js';
import { bindSocket, connectSocket, networkFailure } from './udp-binding.js';

/** Datagrams in a row that make their sender the stream's. */
const STREAM_BEGINS = 64;
/** Without a block for so long, the stream may come from elsewhere. */
const STREAM_ENDS_MS = 1000;
/** Read before the event loop gets its turn. */
const MOST_BYTES_PER_TURN = 1024 * 1024;

export async function openPlainReceiver(
  { group, port, chosen }: GroupOptions,
  handler: GroupHandler,
): Promise<GroupReceiver> {
  const socket = createUdpSocket(group, { reuse: true });
  // Bound to the group's own address, the socket hears no other group of this port.
  const fd = await descriptorOf(() => bindSocket(socket, group, port));
  const membership = new Membership(group, (now) => joinNodeGroup(socket, group, now));
  if (!membership.join(chosen)) {
    socket.close();
    throw networkFailure(new Error('the group cannot be joined'), group, chosen);
  }
  const receiveBufferBytes = tryGrowReceiveBuffer(socket);
  socket.on('error', () => {});
  const reader = fd < 0 ? null : new PlainReader(fd);
  const receiver = new PlainReceiver(socket, handler, reader, receiveBufferBytes);
  return {
    transport: 'plain datagrams',
    receiveBufferBytes,
    expect() {},
    tendMembership: (now, isDoubted) => membership.tend(now, isDoubted),
    close: () => receiver.close(),
  };
}

interface Sender {
  address: string;
  port: number;
}

class PlainReceiver {
  readonly #socket: dgram.Socket;
  readonly #handler: GroupHandler;
  /** Null where Node's events are the only way. */
  readonly #reader: PlainReader | null;
  readonly #rest: Rest;
  /** Who sent the stream's last blocks, and how many datagrams in a row. */
  #sender: Sender | null = null;
  #inRow = 0;
  /**
   * What is read as from a file does not tell its sender, so the socket is connected to it first: the
   * kernel then takes from nobody else.
   */
  #isConnected = false;
  /** What came before the socket was connected is out of it. */
  #isPure = false;
  #hasStreamed = false;
  /** The reader has left nothing in this turn of the event loop: it looks again in the next one. */
  #isEmptied = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    socket: dgram.Socket,
    handler: GroupHandler,
    reader: PlainReader | null,
    receiveBufferBytes: number,
  ) {
    this.#socket = socket;
    this.#handler = handler;
    this.#reader = reader;
    this.#rest = new Rest(receiveBufferBytes, (wasEmptied) => this.#endTurn(wasEmptied));
    socket.on('message', (message, from) => this.#take(message, from));
  }

  #take(message: Buffer, from: Sender): void {
    const { onPackets } = this.#handler;
    if (onPackets(message, 0, message.length, from.address)) this.#noteStream(from);
    const reader = this.#isPure ? this.#reader : null;
    // What comes after the socket was emptied may gather: to find it empty again costs more than ten datagrams.
    if (reader !== null && !this.#isEmptied) {
      if (reader.read(onPackets, from.address, MOST_BYTES_PER_TURN)) this.#hasStreamed = true;
      this.#isEmptied = reader.isEmpty;
    }
    this.#rest.note(reader === null ? undefined : this.#isEmptied);
  }

  #noteStream({ address, port }: Sender): void {
    this.#hasStreamed = true;
    if (this.#isConnected || this.#reader === null) return;
    if (this.#sender?.address !== address || this.#sender.port !== port) {
      this.#sender = { address, port };
      this.#inRow = 0;
    }
    this.#inRow++;
    if (this.#inRow === STREAM_BEGINS) this.#connect(address, port);
  }

  #connect(address: string, port: number): void {
    connectSocket(this.#socket, address, port).then(
      () => {
        this.#isConnected = true;
        this.#timer = setInterval(() => this.#look(), STREAM_ENDS_MS);
      },
      // Node's events go on as before.
      () => {},
    );
  }

  /** Hears everybody again once the stream has ended. */
  #look(): void {
    if (!this.#hasStreamed) this.#disconnect();
    this.#hasStreamed = false;
  }

  #disconnect(): void {
    clearInterval(this.#timer);
    this.#isConnected = false;
    this.#isPure = false;
    this.#sender = null;
    this.#socket.disconnect();
  }

  #endTurn(wasEmptied: boolean): void {
    this.#isEmptied = false;
    if (wasEmptied && this.#isConnected) this.#isPure = true;
    this.#handler.onBatch();
  }

  close(): void {
    clearInterval(this.#timer);
    // The descriptor may then be another file's.
    this.#isPure = false;
    this.#socket.close();
  }
}
