/** Spoils packets the way that finds holes: at fields, lengths and ends rather than anywhere. */

import { HEADER_BYTES } from '../../src/protocol/packet.js';
import type { Random } from '../sim/random.js';
import { withCheck } from '../with-check.js';

const lengthOffset = 4;
const sessionOffset = 8;
const largestPacketBytes = 2048;
const extremes = [
  0, 1, 2, 3, 4, 15, 16, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xfffe, 0xffff,
];
const extremes32 = [0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

type Mutation = (random: Random, bytes: Buffer, other: Buffer) => Buffer;

const mutations: readonly Mutation[] = [
  // A bit.
  (random, bytes) => {
    if (bytes.length > 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  },
  // A field of one, two or four bytes, at a boundary that a field may have.
  (random, bytes) => {
    const width = random.pick([1, 2, 4]);
    if (bytes.length < width) return bytes;
    const at = Math.floor(random.below(bytes.length - width + 1) / width) * width;
    const value = random.pick(width === 4 ? [...extremes, ...extremes32] : extremes);
    bytes.writeUIntBE(value % 2 ** (8 * width), at, width);
    return bytes;
  },
  // A step up or down: off by one.
  (random, bytes) => {
    if (bytes.length === 0) return bytes;
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at]! + random.pick([-1, 1])) & 255;
    return bytes;
  },
  (random, bytes) => bytes.subarray(0, random.below(bytes.length + 1)),
  (random, bytes) => Buffer.concat([bytes, random.fill(Buffer.alloc(1 + random.below(40)))]),
  // Two packets back to back, as in a train.
  (_random, bytes, other) => Buffer.concat([bytes, other]),
  // The head of one, the rest of another.
  (random, bytes, other) => {
    const at = random.below(Math.min(bytes.length, other.length) + 1);
    return Buffer.concat([bytes.subarray(0, at), other.subarray(at)]);
  },
  // A piece of it once more.
  (random, bytes) => {
    const from = random.below(bytes.length + 1);
    const piece = bytes.subarray(from, from + random.below(32));
    return Buffer.concat([bytes.subarray(0, from), piece, bytes.subarray(from)]);
  },
  // Another session.
  (random, bytes) => {
    if (bytes.length >= HEADER_BYTES) bytes.writeBigUInt64BE(random.id(), sessionOffset);
    return bytes;
  },
];

/**
 * @param other another packet, to take parts from
 * @returns a spoilt copy; often with a length field that fits, so that it gets past the first look
 */
export function mutate(random: Random, packet: Buffer, other: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(packet);
  for (let count = 1 + random.below(3); count > 0; count--) {
    bytes = Buffer.from(random.pick(mutations)(random, bytes, other));
  }
  bytes = bytes.subarray(0, largestPacketBytes);
  if (bytes.length >= HEADER_BYTES && random.chance(0.7)) {
    bytes.writeUInt16BE(bytes.length, lengthOffset);
  }
  return random.chance(0.9) ? withCheck(bytes) : bytes;
}
