/**
 * Connections to the fleet page that have not shown that they may use it. Whoever reaches the port
 * can open some: those of one address must not take all the places that there are.
 */
import type { Socket } from 'node:net';

/** As many as there may be viewers: all of them may be behind one address. */
const MAX_OF_ADDRESS = 64;

export class Strangers {
  /** How many there are of each address. */
  private readonly counts = new Map<string, number>();
  private readonly addresses = new Map<Socket, string>();

  /** A connection came in. One too many of its address is closed at once. */
  admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const count = this.counts.get(address) ?? 0;
    if (count >= MAX_OF_ADDRESS) {
      socket.destroy();
      return;
    }
    this.counts.set(address, count + 1);
    this.addresses.set(socket, address);
    socket.once('close', () => this.forget(socket));
  }

  /** It is gone, or a request of it was let in. */
  forget(socket: Socket): void {
    const address = this.addresses.get(socket);
    if (address === undefined) return;
    this.addresses.delete(socket);
    const count = this.counts.get(address)! - 1;
    if (count === 0) this.counts.delete(address);
    else this.counts.set(address, count);
  }
}
