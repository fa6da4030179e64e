/**
 * A folder that Clonezilla made of a disk: what it says of the disk, and which files hold what. A
 * reading only, that writes nothing. Source: Clonezilla 5.3 (`ocs-functions`) and its images.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../failure.js';

export interface ClonezillaPart {
  /** `sda1`. */
  name: string;
  offsetBytes: number;
  sizeBytes: number;
  content:
    | { kind: 'partclone' | 'raw'; files: string[] }
    | { kind: 'swap'; uuid: string; label: string }
    | { kind: 'none' };
}

export interface ClonezillaImage {
  /** `sda`. */
  disk: string;
  sizeBytes: number;
  /** What `sfdisk` makes the partition table of. */
  table: string;
  /** The first 512 bytes of the disk; null when they were not saved. */
  bootSector: Buffer | null;
  /** What lies behind them, before the first partition; null when it was not saved. */
  hidden: Buffer | null;
  parts: ClonezillaPart[];
}

const SECTOR_BYTES = 512;

/** Whether a folder is one of Clonezilla's. */
export const isClonezilla = (folder: string): boolean =>
  ['clonezilla-img', 'parts', 'ecryptfs.info'].some((name) => existsSync(join(folder, name)));

/** @throws Failure when it is no image of one whole disk, or holds what is not understood */
export function readClonezilla(folder: string): ClonezillaImage {
  const text = (name: string): string => {
    const path = join(folder, name);
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  };
  const refuse = (why: string): Failure =>
    new Failure('source', 'FOREIGN_FORMAT', `${folder} cannot be served as a disk: ${why}`);
  const names = readdirSync(folder).sort();
  if (text('ecryptfs.info') !== '') throw refuse('it is encrypted (eCryptfs); decrypt it first');
  if (text('lvm_vg_dev.list') !== '') throw refuse('it has LVM volumes, which are not understood');
  if (text('luks-dev.list') !== '') throw refuse('it has encrypted partitions (LUKS)');
  const disks = text('disk').split(/\s+/).filter(Boolean);
  if (disks.length === 0) throw refuse('it is of partitions, not of a disk');
  if (disks.length > 1) throw refuse(`it is of several disks (${disks.join(', ')})`);
  const disk = disks[0]!;
  if (/^(md|dm-|mapper)/.test(disk)) throw refuse('it is of a RAID');
  const table = text(`${disk}-pt.sf`);
  if (!/^label: (gpt|dos)$/m.test(table)) {
    throw refuse(`${disk}-pt.sf is missing, or of a kind that is not understood`);
  }
  if (/^sector-size: (?!512$)/m.test(table)) throw refuse('its disk has sectors of 4096 bytes');
  const places = placesOf(table);
  const saved = text('parts').split(/\s+/).filter(Boolean);
  const lacking = saved.find((name) => !places.has(name));
  if (lacking !== undefined) throw refuse(`its partition table lacks ${lacking}`);
  const sizeBytes = diskSizeOf(disk, text(`${disk}-pt.parted`));
  if (sizeBytes === 0) throw refuse(`${disk}-pt.parted does not tell the disk's size`);
  const parts: ClonezillaPart[] = [];
  for (const [name, place] of places) {
    if (place.offsetBytes + place.sizeBytes > sizeBytes) {
      throw refuse(`${name} reaches beyond the disk`);
    }
    // Swap is not among those that were saved.
    const swap = text(`swappt-${name}.info`);
    const content = swap === '' ? filesOf(folder, names, name, refuse) : swapOf(swap);
    parts.push({ name, ...place, content });
  }
  const bootSector = bytesOf(folder, `${disk}-mbr`);
  const hidden = bytesOf(folder, `${disk}-hidden-data-after-mbr`);
  return { disk, sizeBytes, table, bootSector, hidden, parts };
}

/** Of an MBR: partitions that hold others. */
const BOXES = new Set(['5', 'f', '85']);

/** Lines such as `/dev/sda1 : start= 2048, size= 204800, type=83`. */
function placesOf(table: string): Map<string, { offsetBytes: number; sizeBytes: number }> {
  const lines = table.matchAll(/^\/dev\/(\S+) *: *start= *(\d+), *size= *(\d+), *type=([\w-]+)/gm);
  const inside = [...lines].filter(([, , , , type]) => !BOXES.has(type!));
  return new Map(
    inside.map(([, name, start, size]) => [
      name!,
      { offsetBytes: Number(start) * SECTOR_BYTES, sizeBytes: Number(size) * SECTOR_BYTES },
    ]),
  );
}

/** In bytes, as `parted` was asked for sectors; 0 when it does not tell. */
function diskSizeOf(disk: string, parted: string): number {
  const sectors = new RegExp(`^Disk /dev/${disk}: (\\d+)s$`, 'm').exec(parted)?.[1];
  return Number(sectors ?? 0) * SECTOR_BYTES;
}

function swapOf(info: string): ClonezillaPart['content'] {
  const value = (name: string): string =>
    new RegExp(`^${name}="?([^"]*)`, 'm').exec(info)?.[1] ?? '';
  return { kind: 'swap', uuid: value('UUID'), label: value('LABEL') };
}

function filesOf(
  folder: string,
  names: readonly string[],
  part: string,
  refuse: (why: string) => Failure,
): ClonezillaPart['content'] {
  const own = names.filter((name) => name.startsWith(`${part}.`) && /-img(\.|$)/.test(name));
  const data = own.filter((name) => !name.endsWith('.info'));
  if (data.length === 0) return { kind: 'none' };
  const files = data.map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
  const kind = /^\.(\S+?)-img/.exec(data[0]!.slice(part.length))?.[1] ?? '';
  if (/luks/i.test(kind)) throw refuse(`${part} is encrypted (LUKS)`);
  // Split files follow each other by name; several images of one partition do not.
  const stems = new Set(data.map((name) => name.replace(/\.a*[a-z]{2}$/, '')));
  const isSplit = files.length > 1;
  if (isSplit && !data.every((name) => /\.[a-z]{2,4}$/.test(name))) {
    throw refuse(`${part} has several images`);
  }
  if (stems.size > 1) throw refuse(`${part} has several images`);
  // What partclone.dd wrote has no header.
  if (kind === 'dd' || kind === 'dd-ptcl') return { kind: 'raw', files };
  if (kind.endsWith('-ptcl')) return { kind: 'partclone', files };
  throw refuse(`${part} was saved by ${kind === 'ntfs' ? 'ntfsclone' : kind}, not by partclone`);
}

function bytesOf(folder: string, name: string): Buffer | null {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path) : null;
}
