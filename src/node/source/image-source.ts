/** The seam between a server and the image that it serves, wherever the bytes come from. */
import type { Failure } from '../../failure.js';
import type { BlockMap } from '../../image/block-map.js';
import type { Geometry } from '../../image/geometry.js';
import type { UsedMap } from '../../image/used-map.js';
import type { SignedStatement } from '../../server/client-messages.js';
import type { JobDone } from '../workers/chunk-job.js';
import type { ChunkJobs } from '../workers/chunk-jobs.js';
import type { ChunkMemory } from '../workers/chunk-memory.js';
import type { ExtentFinder } from './holes.js';
import type { MapCache } from './map-cache.js';

/** An image that another program has: a file of its own kind, an archive, an address. */
export interface ImageSource {
  /** Offered to clients as its name. */
  readonly name: string;
  /** Does not change while it is served. */
  readonly sizeBytes: number;
  /**
   * Fills `bytes` with what lies at `offsetBytes`; the place is inside the image. Called for
   * several places at a time, and for a place again when it is needed again.
   * @returns how many bytes it filled; fewer than asked for are asked for again
   * @throws Error when the place cannot be read: clients are told, and it is tried again
   */
  read(bytes: Uint8Array, offsetBytes: number): Promise<number>;
  /** Where data lies; what does not is zeros, and is not read. Without it, all is read. */
  readonly extents?: ExtentFinder;
  /**
   * Hands over what to call when the image is not what it was, with a clause such as 'was written
   * to'. The run ends then, on all sides.
   */
  changed?(tell: (what: string) => void): void;
}

/** Notices that an image changes while it is served. */
export interface ImageWatch {
  /** Looks now. */
  isUnchanged(): boolean;
  /** Looks now, as the block map is made. @returns whether that is of one image */
  mapped(): boolean;
  /** Something else found out. @param what a clause */
  changed(what: string): void;
  close(): void;
}

/** One chunk to read, and how it is to be encoded. */
export interface ChunkRead {
  chunk: number;
  /** Slot of the chunk memory; -1 where only what it is is of interest: after everything else. */
  slot: number;
  /** Of compression; 0 for none. */
  level: number;
  /** It was sent like this before, and must come out the same. */
  isRepeat: boolean;
  /** It is to come out as it is, with what is unused as zeros. */
  isPlain: boolean;
}

/** Reads chunks of an image into memory, and has them looked at and encoded. */
export interface ChunkReader {
  read(order: ChunkRead, done: JobDone): void;
}

/** An image as the server sees it. */
export interface ServedImage {
  readonly name: string;
  /** For messages: the path, or the name of what has none. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Null where nobody tells. */
  readonly extents: ExtentFinder | null;
  /** What its file systems use, when only that is to be sent; null for all. */
  readonly used: UsedMap | null;
  /** What the partition table counts in; 0 when there is none, or it does not tell. */
  readonly sectorSizeBytes: number;
  /** Slots of the chunk memory that the reader needs for itself, behind those of the server. */
  readonly ownSlots: number;
  /** Where its block map is kept; null where none can be. */
  mapCache(geometry: Geometry): MapCache | null;
  /** @param chunkKey what chunks that travel are sealed with; null for not at all */
  reader(
    jobs: ChunkJobs,
    memory: ChunkMemory,
    geometry: Geometry,
    chunkKey: Uint8Array | null,
  ): ChunkReader;
  /**
   * Whose image it is, as far as anybody has said so.
   * @param tell gets what the operator should know
   */
  statement(map: BlockMap, tell: (text: string) => void): SignedStatement;
  /** @param onChanged called once */
  watch(onChanged: (failure: Failure) => void): ImageWatch;
  close(): void;
}
