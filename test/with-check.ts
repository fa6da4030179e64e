/**
 * Spoilt packets that get past the check: damage would end there, but who means harm writes one
 * that fits.
 */
import { CHECK_BYTES, writeCheck } from '../src/protocol/check.js';
import { HEADER_BYTES, PacketType, packetType } from '../src/protocol/packet.js';

/** Writes a check that fits, in place. Block packets have none, but a payload there. */
export function withCheck(bytes: Buffer): Buffer {
  const isShort = bytes.length < HEADER_BYTES + CHECK_BYTES;
  return isShort || packetType(bytes, 0) === PacketType.block ? bytes : writeCheck(bytes);
}
