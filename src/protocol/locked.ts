/**
 * What a sealed server says to a map request that it cannot open: that it is there, and nothing
 * else. Anybody may say so; nothing follows from it but a reason to give up.
 */
import { CHECK_BYTES, isAsWritten, writeCheck } from './check.js';
import { HEADER_BYTES, PacketType, packetSession, writeHeader } from './packet.js';

export interface Locked {
  session: bigint;
}

const LOCKED_BYTES = HEADER_BYTES + CHECK_BYTES;

export function encodeLocked({ session }: Locked): Buffer {
  const bytes = Buffer.alloc(LOCKED_BYTES);
  writeHeader(bytes, 0, PacketType.locked, LOCKED_BYTES, session);
  return writeCheck(bytes);
}

export function decodeLocked(bytes: Buffer): Locked | null {
  if (bytes.length !== LOCKED_BYTES || !isAsWritten(bytes)) return null;
  return { session: packetSession(bytes, 0) };
}
