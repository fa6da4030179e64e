/**
 * The layers of a chunk, between what a disk holds and what blocks carry:
 *
 *     read → unused becomes zeros → digest → packed → [sealed] → blocks
 *     written ← proven by its digest ← unpacked ← [opened] ← blocks
 *
 * Each layer is one function with its inverse beside it. The digest is over what was read, so that
 * what is proven does not depend on the layers after it. In brackets is what only those have that
 * share a key.
 */
import type { Digest } from '../image/block-map.js';
import { Encoding, type EncodingId } from '../protocol/block.js';
import { type Gcm, NODE_GCM } from '../trust/gcm.js';
import { Compression, type Packed } from './compression.js';
import { type SealedOrder, SealLayer, type SealOrder } from './seal.js';
import { clearUnused, isZero } from './zeros.js';
import type { Zstd } from './zstd.js';

interface EncodedChunk extends Packed {
  /** Null where none was wanted. */
  digest: Uint8Array | null;
}

interface DecodedChunk {
  /** In the room that was given, or where the encoded chunk is. */
  bytes: Buffer;
  digest: Uint8Array;
}

interface EncodeOptions {
  wantsDigest: boolean;
  /** Of compression, 1 to 19; 0 for none. */
  level: number;
  /** The chunk was sent compressed at this level before, and must come out the same. */
  isRepeat: boolean;
  /** What no file system uses of it: where each run begins and ends; null for nothing. */
  unused?: readonly number[] | null;
  /** With what it is sealed; if not given, it travels in the open. */
  seal?: SealOrder | null;
  /** What is unused is to travel as zeros: whoever gets it has bytes of his own beside them. */
  isPlain?: boolean;
}

/** One thread's codec: it has memory of its own, and remembers how chunks have shrunk lately. */
export class ChunkCodec {
  private compression = new Compression(null);
  private seals = new SealLayer(NODE_GCM);

  constructor(private readonly digestOf: Digest) {}

  /** Until then, Node computes seals. */
  useGcm(gcm: Gcm): void {
    this.seals = new SealLayer(gcm);
  }

  /** Until then, chunks travel raw. */
  useZstd(zstd: Zstd): void {
    this.compression = new Compression(zstd);
  }

  /** Whether chunks of an encoding can be decoded. */
  canDecode(encoding: EncodingId): boolean {
    return this.compression.canUnpack(encoding);
  }

  /**
   * Makes of a chunk what is sent of it, in its place.
   * @param slot begins with the chunk, and has room for all its layers (`maxEncodedBytesOf`)
   * @returns null for a chunk of zeros, which needs no blocks
   */
  encode(slot: Buffer, chunkBytes: number, options: EncodeOptions): EncodedChunk | null {
    const chunk = slot.subarray(0, chunkBytes);
    if (options.unused) clearUnused(chunk, options.unused);
    if (isZero(chunk)) return null;
    const digest = options.wantsDigest ? this.digestOf(chunk) : null;
    const packed = this.compression.pack(chunk, options);
    const { seal = null } = options;
    const sealed = seal === null ? packed : this.seals.seal(slot, packed, seal);
    return { digest, ...sealed };
  }

  /**
   * Makes the chunk again of what came.
   * @param arrived all bytes that came; of what is not that chunk, they are left as they are
   * @param chunkBytes length of the chunk
   * @param expected its digest; null while that is not known
   * @param room for a chunk that has to be unpacked
   * @param seal with what it was sealed; null if it came in the open
   * @returns null when it is not that chunk
   */
  decode(
    arrived: Buffer,
    encoding: EncodingId,
    chunkBytes: number,
    expected: Uint8Array | null,
    room: (chunkBytes: number) => Buffer,
    seal: SealedOrder | null = null,
  ): DecodedChunk | null {
    if (seal === null) return this.unpack(arrived, encoding, chunkBytes, expected, room);
    const packed = this.seals.open(arrived, seal);
    if (packed === null) return null;
    const decoded = this.unpack(packed, encoding, chunkBytes, expected, room);
    // The checks of its blocks are about sealed bytes.
    if (decoded === null) this.seals.restore(arrived, seal);
    return decoded;
  }

  /**
   * Seals a chunk that did not come, in its place, so that its blocks can be compared with those
   * that would have come.
   * @param slot begins with the chunk, and has room for the seal
   */
  cover(slot: Buffer, chunkBytes: number, seal: SealedOrder): void {
    this.seals.seal(slot, { encodedLength: chunkBytes, encoding: Encoding.raw, variant: 0 }, seal);
  }

  private unpack(
    packed: Buffer,
    encoding: EncodingId,
    chunkBytes: number,
    expected: Uint8Array | null,
    room: (chunkBytes: number) => Buffer,
  ): DecodedChunk | null {
    const bytes = encoding === Encoding.raw ? packed : room(chunkBytes);
    if (!this.compression.unpack(packed, encoding, bytes)) return null;
    if (bytes.length !== chunkBytes) return null;
    const digest = this.digestOf(bytes);
    if (expected !== null && Buffer.compare(digest, expected) !== 0) return null;
    return { bytes, digest };
  }
}
