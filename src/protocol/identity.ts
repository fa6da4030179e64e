/**
 * Who a client is, for the operator's eyes: items of a tag, a length and a value, so that more can
 * be told later. All of it is what the client says of itself; nothing is decided by it.
 */
import { readText, textBytes } from './text.js';

export interface ClientIdentity {
  /** Of the interface that the image comes by: `52:54:00:12:34:56`. */
  mac?: string;
  /** Maker and model of the machine. */
  product?: string;
  /** Serial number of the machine. */
  serial?: string;
  diskModel?: string;
  diskSerial?: string;
  /** Size of the disk that is written. */
  diskBytes?: number;
  /** Of the client program. */
  version?: string;
  /** What the interface says of its link. */
  linkBitsPerSecond?: number;
  isFullDuplex?: boolean;
  /** What the operator calls the machine. */
  label?: string;
}

export const IdentityTag = {
  mac: 1,
  product: 2,
  serial: 3,
  diskModel: 4,
  diskSerial: 5,
  diskBytes: 6,
  version: 7,
  linkMbit: 8,
  isFullDuplex: 9,
  label: 10,
} as const;

/** All items at their longest. */
export const MAX_IDENTITY_BYTES = 255;
const ITEM_BYTES = 2;
/** Of a text, as much as fits is told. */
export const MAX_TEXT_BYTES = 40;
const MAX_VERSION_BYTES = 16;
const MAC_BYTES = 6;
const MEGABIT = 1e6;

/** Tag by tag, in ascending order. */
export function encodeIdentity(identity: ClientIdentity): Buffer {
  const parts: Buffer[] = [];
  const put = (tag: number, value: Buffer): void => {
    parts.push(Buffer.from([tag, value.length]), value);
  };
  const putText = (tag: number, text: string | undefined, mostBytes = MAX_TEXT_BYTES): void => {
    if (text !== undefined) put(tag, textBytes(text, mostBytes));
  };
  if (identity.mac !== undefined) put(IdentityTag.mac, macBytes(identity.mac));
  putText(IdentityTag.product, identity.product);
  putText(IdentityTag.serial, identity.serial);
  putText(IdentityTag.diskModel, identity.diskModel);
  putText(IdentityTag.diskSerial, identity.diskSerial);
  if (identity.diskBytes !== undefined) put(IdentityTag.diskBytes, u64(identity.diskBytes));
  putText(IdentityTag.version, identity.version, MAX_VERSION_BYTES);
  if (identity.linkBitsPerSecond !== undefined) {
    put(IdentityTag.linkMbit, u32(Math.floor(identity.linkBitsPerSecond / MEGABIT)));
  }
  if (identity.isFullDuplex !== undefined) {
    put(IdentityTag.isFullDuplex, Buffer.from([identity.isFullDuplex ? 1 : 0]));
  }
  putText(IdentityTag.label, identity.label);
  return Buffer.concat(parts);
}

/** @returns null when the items do not fill `bytes[start, end)` as they should */
export function decodeIdentity(bytes: Buffer, start: number, end: number): ClientIdentity | null {
  const identity: ClientIdentity = {};
  let lastTag = 0;
  let at = start;
  while (at < end) {
    if (end - at < ITEM_BYTES) return null;
    const tag = bytes[at]!;
    const from = at + ITEM_BYTES;
    const to = from + bytes[at + 1]!;
    if (tag <= lastTag || to > end) return null;
    if (!takeItem(identity, tag, bytes, from, to)) return null;
    lastTag = tag;
    at = to;
  }
  return identity;
}

/** @returns false when the value is not one of that tag; tags that nobody knows are passed over */
function takeItem(
  identity: ClientIdentity,
  tag: number,
  bytes: Buffer,
  from: number,
  to: number,
): boolean {
  const length = to - from;
  switch (tag) {
    case IdentityTag.mac:
      if (length !== MAC_BYTES) return false;
      identity.mac = macText(bytes, from);
      return true;
    case IdentityTag.diskBytes: {
      if (length !== 8) return false;
      const diskBytes = bytes.readBigUInt64BE(from);
      if (diskBytes > BigInt(Number.MAX_SAFE_INTEGER)) return false;
      identity.diskBytes = Number(diskBytes);
      return true;
    }
    case IdentityTag.linkMbit:
      if (length !== 4) return false;
      identity.linkBitsPerSecond = bytes.readUInt32BE(from) * MEGABIT;
      return true;
    case IdentityTag.isFullDuplex:
      if (length !== 1 || bytes[from]! > 1) return false;
      identity.isFullDuplex = bytes[from] === 1;
      return true;
    default:
      return takeText(identity, tag, bytes, from, to);
  }
}

const TEXTS: ReadonlyMap<number, 'product' | 'serial' | 'diskModel' | 'diskSerial' | 'label'> =
  new Map([
    [IdentityTag.product, 'product'],
    [IdentityTag.serial, 'serial'],
    [IdentityTag.diskModel, 'diskModel'],
    [IdentityTag.diskSerial, 'diskSerial'],
    [IdentityTag.label, 'label'],
  ]);

function takeText(
  identity: ClientIdentity,
  tag: number,
  bytes: Buffer,
  from: number,
  to: number,
): boolean {
  const isVersion = tag === IdentityTag.version;
  const name = isVersion ? 'version' : TEXTS.get(tag);
  if (name === undefined) return true;
  if (to - from > (isVersion ? MAX_VERSION_BYTES : MAX_TEXT_BYTES)) return false;
  const text = readText(bytes, from, to);
  if (text === null) return false;
  identity[name] = text;
  return true;
}

function macBytes(mac: string): Buffer {
  const bytes = Buffer.alloc(MAC_BYTES);
  for (const [index, part] of mac.split(':').slice(0, MAC_BYTES).entries()) {
    bytes[index] = Number.parseInt(part, 16) & 0xff;
  }
  return bytes;
}

function macText(bytes: Buffer, at: number): string {
  const parts = [...bytes.subarray(at, at + MAC_BYTES)];
  return parts.map((part) => part.toString(16).padStart(2, '0')).join(':');
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(Math.min(Math.max(0, Math.floor(value)), Number.MAX_SAFE_INTEGER)));
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(Math.min(Math.max(0, value), 0xffff_ffff));
  return bytes;
}
