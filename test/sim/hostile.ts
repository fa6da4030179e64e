/**
 * A stranger on the network who hears everything and sends what he likes: rubbish, and what he
 * heard cut short, with bits flipped, from the wrong address or under another session.
 */
import { BLOCK_HEADER_BYTES } from '../../src/protocol/block.js';
import { PacketType, packetType } from '../../src/protocol/packet.js';
import { withCheck } from '../with-check.js';
import type { Random } from './random.js';

export const STRANGER = '10.66.6.6';
const MAX_HEARD = 64;

export class Stranger {
  private readonly random: Random;
  private readonly fromServer: Buffer[] = [];
  private readonly fromClients: Buffer[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  /** Overhears a packet of the server. */
  hearServer(train: Buffer, packetBytes: number): void {
    this.keep(this.fromServer, train.subarray(0, packetBytes));
  }

  hearClient(bytes: Buffer): void {
    this.keep(this.fromClients, bytes);
  }

  private keep(heard: Buffer[], bytes: Buffer): void {
    if (heard.length < MAX_HEARD) heard.push(Buffer.from(bytes));
    else if (this.random.chance(0.05)) heard[this.random.below(MAX_HEARD)] = Buffer.from(bytes);
  }

  /** Something for a client's group socket. */
  forGroup(): Buffer {
    return this.mangle(this.fromServer);
  }

  /** Something for a client's or the server's own socket. */
  forClient(): Buffer {
    return this.mangle(this.fromServer);
  }

  forServer(): Buffer {
    return this.mangle(this.fromClients);
  }

  private mangle(heard: readonly Buffer[]): Buffer {
    const random = this.random;
    if (heard.length === 0 || random.chance(0.2)) {
      return random.fill(Buffer.alloc(random.below(400)));
    }
    const bytes = Buffer.from(random.pick(heard));
    switch (random.below(5)) {
      case 0:
        return bytes;
      case 1:
        return bytes.subarray(0, random.below(bytes.length + 1));
      case 2:
        return this.flip(bytes);
      case 3:
        return this.otherSession(bytes);
      default:
        return this.forge(bytes);
    }
  }

  private flip(bytes: Buffer): Buffer {
    for (let flips = 1 + this.random.below(3); flips > 0; flips--) {
      const bit = this.random.below(bytes.length * 8);
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
    return withCheck(bytes);
  }

  private otherSession(bytes: Buffer): Buffer {
    bytes.writeBigUInt64BE(this.random.id(), 8);
    return withCheck(bytes);
  }

  /** A block with a sound header and a payload that is not the image's. */
  private forge(bytes: Buffer): Buffer {
    if (packetType(bytes, 0) === PacketType.block) {
      this.random.fill(bytes.subarray(BLOCK_HEADER_BYTES));
      return bytes;
    }
    return this.flip(bytes);
  }
}
