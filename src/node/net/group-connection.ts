/**
 * The connection of a sending socket to its group: what leaves by it needs no address and no
 * look-up. It has a source address of its own, which has to follow the interface's.
 */
import type dgram from 'node:dgram';
import type { GroupOptions } from './group-socket.js';
import type { ChosenInterface } from './network-interface.js';
import { connectSocket, networkFailure } from './node-socket.js';
import { OwnAddresses } from './own-addresses.js';
import { sendByAgain } from './renewal.js';

export class GroupConnection {
  private isConnecting = false;
  private chosenAddress: string | undefined;

  private constructor(
    private readonly socket: dgram.Socket,
    private readonly group: string,
    private readonly port: number,
    chosen: ChosenInterface,
  ) {
    this.chosenAddress = chosen.multicastAddress;
  }

  /**
   * Connects a socket that is bound.
   * @throws Failure when nothing can be sent to the group by that interface
   */
  static async open(
    socket: dgram.Socket,
    { group, port, chosen, ttl }: GroupOptions,
  ): Promise<GroupConnection> {
    try {
      if (chosen.multicastAddress !== undefined) {
        socket.setMulticastInterface(chosen.multicastAddress);
      }
      socket.setMulticastTTL(ttl);
      // A copy of each packet for this machine would cost a tenth of sending, mostly in vain.
      socket.setMulticastLoopback(false);
      await connectSocket(socket, group, port);
    } catch (error) {
      socket.close();
      throw networkFailure(error, group, chosen);
    }
    // It only sends, and sends tell their errors themselves.
    socket.removeAllListeners('error');
    socket.on('error', () => {});
    return new GroupConnection(socket, group, port, chosen);
  }

  get sourceAddress(): string {
    try {
      return this.socket.address().address;
    } catch {
      return '';
    }
  }

  /** From now on programs on this machine hear what is sent, too. */
  loopBack(): void {
    this.socket.setMulticastLoopback(true);
  }

  /** Sends from the address that the interface has now. */
  renew(chosen: ChosenInterface): void {
    sendByAgain(this.socket, chosen);
    const isOther = chosen.multicastAddress !== this.chosenAddress;
    this.chosenAddress = chosen.multicastAddress;
    if (isOther || !new OwnAddresses().has(this.sourceAddress)) this.reconnect();
  }

  reconnect(): void {
    if (this.isConnecting) return;
    this.isConnecting = true;
    try {
      this.socket.disconnect();
    } catch {
      // It was not connected.
    }
    const over = (): void => {
      this.isConnecting = false;
    };
    connectSocket(this.socket, this.group, this.port).then(over, over);
  }
}
