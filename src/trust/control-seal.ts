/**
 * Sealed control packets. The header stays in the open, but for a flag and the longer length; all
 * that follows it is encrypted, the packet's own check included; a tag vouches for both.
 *
 *     0   16        the common header, flags 1 (sealed), length of the sealed packet
 *     16  6         sender: random, one for each sealer
 *     22  6         count: begins at random, and is one more with each packet
 *     28  n         the plain packet from byte 16 on, encrypted
 *     28 + n  16    tag, over the header and what is encrypted
 *
 * Sender and count are the nonce.
 */
import {
  HEADER_BYTES,
  MAX_CONTROL_PACKET_BYTES,
  packetSession,
  packetType,
  writeHeader,
} from '../protocol/packet.js';
import { readU16, writeU16 } from '../protocol/words.js';
import { type Key, NONCE_BYTES, openInPlace, sealInPlace, TAG_BYTES } from './gcm.js';

/** What sealing adds to a control packet. */
export const CONTROL_SEAL_BYTES = NONCE_BYTES + TAG_BYTES;
/** Fits the smallest MTU of IPv6 (1280, RFC 8200) less headers of 48 bytes, as plain ones do. */
export const MAX_SEALED_PACKET_BYTES = MAX_CONTROL_PACKET_BYTES + CONTROL_SEAL_BYTES;

const OFFSET_FLAGS = 6;
const FLAG_SEALED = 1;
const OFFSET_COUNT = HEADER_BYTES + 6;
const OFFSET_BODY = HEADER_BYTES + NONCE_BYTES;
const COUNTS = 2 ** 48;

/** Whether a control packet says that it is sealed. The header must be there. */
export function isSealed(bytes: Uint8Array): boolean {
  return readU16(bytes, OFFSET_FLAGS) === FLAG_SEALED;
}

/** Whether a packet has the length and the flag of a sealed one. */
export function hasSealedForm(bytes: Uint8Array): boolean {
  const { length } = bytes;
  if (length < OFFSET_BODY + TAG_BYTES || length > MAX_SEALED_PACKET_BYTES) return false;
  return isSealed(bytes) && readU16(bytes, 4) === length;
}

/** Who sealed a packet of sealed form, as it says; true only once it was opened. */
export const senderOf = (bytes: Buffer): number => bytes.readUIntBE(HEADER_BYTES, 6);

/** The packet's count among those of its sender, as it says. */
export const countOf = (bytes: Buffer): number => bytes.readUIntBE(OFFSET_COUNT, 6);

/** Seals the packets of one sender, of one direction and purpose, in one session. */
export class PacketSealer {
  private readonly nonce: Buffer;

  /** @param firstNonce 12 random bytes, drawn for this sealer alone */
  constructor(
    private readonly key: Key,
    firstNonce: Uint8Array,
  ) {
    if (firstNonce.length !== NONCE_BYTES) throw new RangeError('a nonce has 12 bytes');
    this.nonce = Buffer.from(firstNonce);
  }

  get sender(): number {
    return this.nonce.readUIntBE(0, 6);
  }

  /** Of the next packet. */
  get nextCount(): number {
    return this.nonce.readUIntBE(6, 6);
  }

  /** @param plain a whole control packet, as its encoder made it; is left as it is */
  seal(plain: Buffer): Buffer {
    if (plain.length > MAX_CONTROL_PACKET_BYTES) throw new RangeError('packet too long');
    const sealed = Buffer.alloc(plain.length + CONTROL_SEAL_BYTES);
    plain.copy(sealed, OFFSET_BODY, HEADER_BYTES);
    writeHeader(sealed, 0, packetType(plain, 0), sealed.length, packetSession(plain, 0));
    writeU16(sealed, OFFSET_FLAGS, FLAG_SEALED);
    this.nonce.copy(sealed, HEADER_BYTES);
    const body = sealed.subarray(OFFSET_BODY);
    const header = sealed.subarray(0, HEADER_BYTES);
    sealInPlace(this.key, this.nonce, body, plain.length - HEADER_BYTES, header);
    this.nonce.writeUIntBE((this.nextCount + 1) % COUNTS, 6, 6);
    return sealed;
  }
}

/**
 * Opens a sealed control packet. Never throws.
 * @param sealed one whole packet, from the network; is left as it is
 * @returns the plain packet, or null for what was not sealed with this key, or not so
 */
export function openPacket(key: Key, sealed: Buffer): Buffer | null {
  if (!hasSealedForm(sealed)) return null;
  const header = sealed.subarray(0, HEADER_BYTES);
  const nonce = sealed.subarray(HEADER_BYTES, OFFSET_BODY);
  const opened = Buffer.from(sealed.subarray(NONCE_BYTES));
  const body = opened.subarray(HEADER_BYTES);
  if (!openInPlace(key, nonce, body, body.length, header)) return null;
  const plain = opened.subarray(0, opened.length - TAG_BYTES);
  writeHeader(plain, 0, packetType(sealed, 0), plain.length, packetSession(sealed, 0));
  return plain;
}
