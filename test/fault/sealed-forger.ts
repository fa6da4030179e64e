/**
 * Packets as an attacker makes them who has no key: what was heard again, as it was, with other
 * counts, spoilt, of another type, or sent the other way; and what was recorded of an earlier
 * session, as it was or under the number of this one.
 */
import { encodeLocked } from '../../src/protocol/locked.js';
import { HEADER_BYTES, PacketType, packetType, writeHeader } from '../../src/protocol/packet.js';
import { writeU16 } from '../../src/protocol/words.js';
import type { Random } from '../sim/random.js';

const MAX_HEARD = 512;
const COUNT_OFFSET = HEADER_BYTES + 6;
const MIN_BYTES = HEADER_BYTES + 12 + 16;
const TYPES = Object.values(PacketType);

export class SealedForger {
  /** The session that is attacked; 0 while it is not known. */
  session = 0n;
  /** Control packets and some blocks of this session. */
  readonly heard: Buffer[] = [];

  /** @param recorded of an earlier session with the same key */
  constructor(
    private readonly random: Random,
    private readonly recorded: readonly Buffer[],
  ) {}

  hear(packet: Buffer): void {
    if (this.heard.length < MAX_HEARD) this.heard.push(Buffer.from(packet));
  }

  /** For either side: whatever goes one way is sent the other way as well. */
  forge(): Buffer {
    const { random } = this;
    if (this.recorded.length > 0 && random.chance(0.3)) return this.replayed();
    if (random.chance(0.05)) return encodeLocked({ session: this.session });
    if (this.heard.length === 0 || random.chance(0.3)) return this.invented();
    const bytes = Buffer.from(random.pick(this.heard));
    switch (random.below(4)) {
      case 0:
        return bytes;
      case 1:
        bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
        return bytes;
      case 2:
        bytes[3] = random.pick(TYPES);
        return bytes;
      default:
        return this.ahead(bytes);
    }
  }

  /** What makes of copies of a packet others of its kind, in their place. */
  variationOf(packet: Buffer): (copy: Buffer) => void {
    const { random } = this;
    if (packet.length < MIN_BYTES) return () => {};
    const isBlock = packetType(packet, 0) === PacketType.block;
    return (copy) => {
      if (!isBlock && random.chance(0.5)) this.ahead(copy);
      else copy[HEADER_BYTES + random.below(copy.length - HEADER_BYTES)]! ^= 1 << random.below(8);
    };
  }

  /** The packet that comes soon, if the sender goes on: that one must be opened to be refused. */
  private ahead(bytes: Buffer): Buffer {
    if (bytes.length < MIN_BYTES || packetType(bytes, 0) === PacketType.block) return bytes;
    const count = bytes.readUIntBE(COUNT_OFFSET, 6);
    bytes.writeUIntBE((count + 1 + this.random.below(400)) % 2 ** 48, COUNT_OFFSET, 6);
    return bytes;
  }

  private replayed(): Buffer {
    const bytes = Buffer.from(this.random.pick(this.recorded));
    if (this.random.chance(0.5)) bytes.writeBigUInt64BE(this.session, 8);
    return bytes;
  }

  /** Of any type, with the sender of one that was heard. */
  private invented(): Buffer {
    const { random } = this;
    const bytes = random.fill(Buffer.alloc(MIN_BYTES + random.below(500)));
    const session = random.chance(0.2) ? 0n : this.session;
    writeHeader(bytes, 0, random.pick(TYPES), bytes.length, session);
    writeU16(bytes, 6, 1);
    const like = this.heard.length > 0 ? random.pick(this.heard) : bytes;
    if (like.length >= MIN_BYTES) like.copy(bytes, HEADER_BYTES, HEADER_BYTES, MIN_BYTES - 16);
    return bytes;
  }
}
