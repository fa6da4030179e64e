/** Packets with one byte changed, and packets as their senders would have sealed them next. */

import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  blockLengthOf,
  encodedLengthOf,
} from '../../src/protocol/block.js';
import { PacketType, packetSession, packetType } from '../../src/protocol/packet.js';
import { writeU16 } from '../../src/protocol/words.js';
import { countOf, openPacket, PacketSealer, senderOf } from '../../src/trust/control-seal.js';
import { type ControlKeys, controlKeysOf, DOOR_SESSION } from '../../src/trust/session-keys.js';
import type { Random } from '../sim/random.js';
import type { Heard } from './overhearing.js';

/** A packet so often as it has bytes, with another one of them changed each time. */
export function flipsOf({ bytes, from, to }: Heard, random: Random): Heard[] {
  return Array.from(bytes, (_, at) => {
    const flipped = Buffer.from(bytes);
    flipped[at]! ^= 1 << random.below(8);
    return { bytes: flipped, from, to };
  });
}

/** So far ahead of a sender that the real packets do not come there. */
const STEPS_AHEAD = 2 ** 20;
const COUNTS = 2 ** 48;

/** What only somebody with the key can do. */
export class Insider {
  private readonly door: ControlKeys;
  private readonly keys: ControlKeys;

  constructor(secret: Buffer, session: bigint) {
    this.door = controlKeysOf(secret, DOOR_SESSION);
    this.keys = controlKeysOf(secret, session);
  }

  /** @throws Error for a packet that was not sealed with this key, or in another session */
  open(bytes: Buffer): Buffer {
    const plain = openPacket(this.keyOf(bytes), bytes);
    if (plain === null) throw new Error(`a packet of type ${packetType(bytes, 0)} is locked`);
    return plain;
  }

  /**
   * A packet that came never before, from the same sender: whoever gets it takes it, unless it is
   * changed.
   * @param plain what it says; the same as `like` if not given
   */
  anew(like: Buffer, plain = this.open(like)): Buffer {
    const nonce = Buffer.alloc(12);
    nonce.writeUIntBE(senderOf(like), 0, 6);
    nonce.writeUIntBE((countOf(like) + STEPS_AHEAD) % COUNTS, 6, 6);
    return new PacketSealer(this.keyOf(like), nonce).seal(plain);
  }

  private keyOf(bytes: Buffer): ControlKeys['group'] {
    const { door, keys } = this;
    switch (packetType(bytes, 0)) {
      case PacketType.mapRequest:
        return packetSession(bytes, 0) === DOOR_SESSION ? door.requests : keys.requests;
      case PacketType.statementRequest:
        return door.requests;
      case PacketType.blockRequest:
      case PacketType.report:
        return keys.requests;
      case PacketType.imageDescription:
      case PacketType.statement:
        return door.answers;
      case PacketType.farewell:
        return keys.answers;
      default:
        return keys.group;
    }
  }
}

/** The blocks of a chunk of which none was sent yet, as far as a block of another tells of them. */
export function blocksAhead(block: Heard, chunk: number, random: Random): Heard[] {
  const { bytes } = block;
  const blockSize = bytes.length - BLOCK_HEADER_BYTES;
  const encodedLength = encodedLengthOf(bytes, 0);
  const count = blockCountOf(encodedLength, blockSize);
  return Array.from({ length: count }, (_, number) => {
    const length = BLOCK_HEADER_BYTES + blockLengthOf(encodedLength, blockSize, number);
    const other = Buffer.from(bytes.subarray(0, length));
    writeU16(other, 4, length);
    writeU16(other, 6, number);
    other.writeUInt32BE(chunk, 16);
    other[BLOCK_HEADER_BYTES + random.below(length - BLOCK_HEADER_BYTES)]! ^= 1;
    return { ...block, bytes: other };
  });
}
