/**
 * What is used of a btrfs, from its own tools' listing of its trees. Partclone is not asked: of
 * metadata that is kept twice (DUP, as on any single disk), 0.3.23 takes one copy for free.
 *
 * Extents lie in a logical space; the chunk tree tells where each part of that is on the disk, once
 * or twice. Sources: the btrfs documentation, "On-disk format"; `btrfs-inspect-internal(8)`.
 */
import type { ByteRun } from '../../image/used-map.js';
import { Unreadable } from './unreadable.js';

/** The space before it is no chunk's: boot loaders live there. */
const RESERVED_BYTES = 1024 * 1024;
/** Where the superblock and its copies lie. */
const SUPERBLOCKS = [64 * 1024, 64 * 1024 ** 2, 256 * 1024 ** 3];
const SUPERBLOCK_BYTES = 4096;

interface Chunk {
  start: number;
  lengthBytes: number;
  type: string;
  stripes: number[];
  stripeCount: number;
}

const ITEM = /^\titem \d+ key \((\S+) (\S+) (\S+)\) itemoff/;

/** Reads `btrfs inspect-internal dump-tree -t chunk`. */
export class ChunkTree {
  private readonly chunks: Chunk[] = [];
  private current: Chunk | null = null;

  line(text: string): void {
    const item = ITEM.exec(text);
    if (item !== null) {
      this.current = null;
      if (item[2] !== 'CHUNK_ITEM') return;
      const start = countOf(item[3]);
      this.current = { start, lengthBytes: -1, type: '', stripes: [], stripeCount: -1 };
      this.chunks.push(this.current);
      return;
    }
    const chunk = this.current;
    if (chunk === null) return;
    const [, length, type] = /^\t\tlength (\d+) owner .* type (\S+)/.exec(text) ?? [];
    if (length !== undefined) Object.assign(chunk, { lengthBytes: countOf(length), type });
    const count = /^\t\tnum_stripes (\d+) /.exec(text)?.[1];
    if (count !== undefined) chunk.stripeCount = countOf(count);
    const stripe = /^\t\t\tstripe \d+ devid \d+ offset (\d+)/.exec(text)?.[1];
    if (stripe !== undefined) chunk.stripes.push(countOf(stripe));
  }

  /** @throws Unreadable when some chunk is spread in a way that is not understood here */
  finish(): ChunkPlaces {
    if (this.chunks.length === 0) throw new Unreadable('its chunk tree is empty');
    for (const { lengthBytes, type, stripes, stripeCount } of this.chunks) {
      if (!/^[A-Z|]+(\|single|\|DUP)?$/.test(type) || /RAID/.test(type)) {
        throw new Unreadable(`it is spread as ${type || 'nobody knows'}`);
      }
      const isKnown = stripes.length === (type.endsWith('|DUP') ? 2 : 1);
      if (lengthBytes <= 0 || stripes.length !== stripeCount || !isKnown) {
        throw new Unreadable('its chunk tree cannot be understood');
      }
    }
    return new ChunkPlaces(this.chunks);
  }
}

/** Where the logical space lies on the disk. */
class ChunkPlaces {
  private readonly chunks: Chunk[];

  constructor(chunks: readonly Chunk[]) {
    this.chunks = [...chunks].sort((one, other) => one.start - other.start);
  }

  /** Each place of a logical extent. @throws Unreadable when it is not within one chunk */
  placesOf(start: number, lengthBytes: number): ByteRun[] {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.chunks[middle]!.start > start) high = middle;
      else low = middle + 1;
    }
    const chunk = this.chunks[low - 1];
    if (chunk === undefined || start + lengthBytes > chunk.start + chunk.lengthBytes) {
      throw new Unreadable('an extent of it lies outside of its chunks');
    }
    return chunk.stripes.map((at) => {
      const from = at + start - chunk.start;
      return { start: from, end: from + lengthBytes };
    });
  }
}

/** Reads `btrfs inspect-internal dump-tree -t extent`. */
export class ExtentTree {
  readonly used: ByteRun[] = [
    { start: 0, end: RESERVED_BYTES },
    ...SUPERBLOCKS.map((start) => ({ start, end: start + SUPERBLOCK_BYTES })),
  ];
  private foundBytes = 0;
  private previousEnd = 0;

  constructor(
    private readonly places: ChunkPlaces,
    private readonly nodeSizeBytes: number,
  ) {}

  /** @throws Unreadable for what it does not understand */
  line(text: string): void {
    const [, first, type, second] = ITEM.exec(text) ?? [];
    if (type !== 'EXTENT_ITEM' && type !== 'METADATA_ITEM') return;
    const start = countOf(first);
    const lengthBytes = type === 'METADATA_ITEM' ? this.nodeSizeBytes : countOf(second);
    if (start < this.previousEnd) throw new Unreadable('extents of it overlap');
    this.previousEnd = start + lengthBytes;
    this.foundBytes += lengthBytes;
    this.addRuns(this.places.placesOf(start, lengthBytes));
  }

  /** Neighbours become one run: most extents follow each other. */
  private addRuns(runs: readonly ByteRun[]): void {
    const last = this.used.at(-1)!;
    if (runs.length === 1 && runs[0]!.start === last.end) last.end = runs[0]!.end;
    else this.used.push(...runs);
  }

  /** @param usedBytes what the superblock says: a listing that lacks something has less */
  finish(usedBytes: number): ByteRun[] {
    if (this.foundBytes !== usedBytes) {
      throw new Unreadable('its extents are not as many as its superblock says');
    }
    return this.used;
  }
}

function countOf(digits: string | undefined): number {
  const count = /^\d+$/.test(digits ?? '') ? Number(digits) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw new Unreadable('its trees cannot be understood');
  return count;
}
