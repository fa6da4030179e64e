/**
 * Whether the two GPTs of a disk are whole, and of one another. Source: UEFI specification 2.10,
 * chapter 5.3.2.
 */
import { checkOf } from '../../protocol/check.js';

/** Bytes at a place of the disk, or fewer at its end. */
type ReadBytes = (offsetBytes: number, lengthBytes: number) => Buffer;

export const GPT_SIGNATURE = Buffer.from('EFI PART');
const HEADER_BYTES = 92;
/** Where the other header lies, in sectors. */
const ALTERNATE_OFFSET = 32;
/** 128 entries of 128 bytes, which every tool makes. */
export const USUAL_ENTRIES_BYTES = 16_384;
const HEADER_LENGTH_OFFSET = 12;
const HEADER_CHECK_OFFSET = 16;
const OWN_PLACE_OFFSET = 24;
const ENTRIES_PLACE_OFFSET = 72;
const ENTRY_COUNT_OFFSET = 80;
const ENTRY_BYTES_OFFSET = 84;
const ENTRIES_CHECK_OFFSET = 88;
/** Disks have 16 KiB of entries; more than this has none. */
const MAX_ENTRIES_BYTES = 16 * 1024 * 1024;

/** Whether there is a GPT at both ends of a disk, whole and of the same partitions. */
export function hasSoundTables(read: ReadBytes, diskBytes: number, sectorBytes: number): boolean {
  const lastSector = Math.floor(diskBytes / sectorBytes) - 1;
  try {
    const first = readEntries(read, 1, lastSector, sectorBytes);
    const second = readEntries(read, lastSector, 1, sectorBytes);
    return first !== null && second !== null && first.equals(second);
  } catch {
    // What cannot be read is not whole.
    return false;
  }
}

/** @returns the partitions that a whole header tells of, as they are on the disk; else null */
function readEntries(
  read: ReadBytes,
  place: number,
  otherPlace: number,
  sectorBytes: number,
): Buffer | null {
  const sector = read(place * sectorBytes, sectorBytes);
  if (sector.length < sectorBytes || !sector.subarray(0, 8).equals(GPT_SIGNATURE)) return null;
  const headerBytes = sector.readUInt32LE(HEADER_LENGTH_OFFSET);
  if (headerBytes < HEADER_BYTES || headerBytes > sectorBytes) return null;
  const check = sector.readUInt32LE(HEADER_CHECK_OFFSET);
  sector.fill(0, HEADER_CHECK_OFFSET, HEADER_CHECK_OFFSET + 4);
  if (checkOf(sector, 0, headerBytes) !== check) return null;
  if (Number(sector.readBigUInt64LE(OWN_PLACE_OFFSET)) !== place) return null;
  if (Number(sector.readBigUInt64LE(ALTERNATE_OFFSET)) !== otherPlace) return null;
  const count = sector.readUInt32LE(ENTRY_COUNT_OFFSET);
  const lengthBytes = count * sector.readUInt32LE(ENTRY_BYTES_OFFSET);
  if (lengthBytes > MAX_ENTRIES_BYTES) return null;
  const at = Number(sector.readBigUInt64LE(ENTRIES_PLACE_OFFSET)) * sectorBytes;
  const entries = read(at, lengthBytes);
  const isWhole = checkOf(entries, 0, entries.length) === sector.readUInt32LE(ENTRIES_CHECK_OFFSET);
  return isWhole && entries.length === lengthBytes ? entries : null;
}
