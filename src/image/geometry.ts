/** How an image is cut into chunks, and the chunks into pages of the block map. */

/**
 * The usual chunk. What a chunk costs on both sides, whatever its length, weighs a quarter of what
 * it does at 256 KiB, and a chunk still fits the processor's cache.
 */
export const DEFAULT_CHUNK_SIZE_BYTES = 1024 * 1024;

/** A smaller chunk would be mostly header. Only tests come near. */
const MIN_CHUNK_SIZE_BYTES = 16;

/** A chunk's length travels in 24 bits, and a client holds several chunks in memory at once. */
export const MAX_CHUNK_SIZE_BYTES = 8 * 1024 * 1024;

/** Bounds the memory that a stranger's image description can make a client ask for. */
export const MAX_CHUNKS = 2 ** 25;

/** The largest image there can be: 256 TiB. */
export const MAX_IMAGE_SIZE_BYTES = MAX_CHUNKS * MAX_CHUNK_SIZE_BYTES;

/** Chunks in one page of the block map. A multiple of 32, so pages begin on a bitmap's word. */
export const CHUNKS_PER_PAGE = 4096;

/** Above this many chunks, the chunk grows instead. */
const COMFORTABLE_CHUNKS = 2 ** 21;

/**
 * The chunk size for an image, in bytes.
 *
 * Each data chunk costs 32 bytes of digest on both sides, so the number of chunks bounds the
 * memory: 64 MiB at 2**21 chunks. The default size is doubled until the image has no more
 * chunks than that, but never past 8 MiB (see MAX_CHUNK_SIZE_BYTES). From 16 TiB on the
 * chunks stay at 8 MiB and their number grows. An image larger than MAX_IMAGE_SIZE_BYTES
 * cannot be served at all; the caller says so.
 *
 * @param imageSizeBytes at least 1
 */
export function chunkSizeFor(imageSizeBytes: number): number {
  let sizeBytes = DEFAULT_CHUNK_SIZE_BYTES;
  while (
    sizeBytes < MAX_CHUNK_SIZE_BYTES &&
    Math.ceil(imageSizeBytes / sizeBytes) > COMFORTABLE_CHUNKS
  ) {
    sizeBytes *= 2;
  }
  return sizeBytes;
}

export class Geometry {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly chunkCount: number;
  readonly pageCount: number;

  /**
   * @param sizeBytes the whole image: at least 1, at most MAX_IMAGE_SIZE_BYTES
   * @param chunkSizeBytes every chunk but the last: a power of two from 16 bytes to 8 MiB
   * @throws RangeError where `parse` gives null. Values from the network go through `parse`.
   */
  constructor(sizeBytes: number, chunkSizeBytes: number) {
    if (!fits(sizeBytes, chunkSizeBytes)) {
      throw new RangeError(`no geometry for ${sizeBytes} bytes in chunks of ${chunkSizeBytes}`);
    }
    this.sizeBytes = sizeBytes;
    this.chunkSizeBytes = chunkSizeBytes;
    this.chunkCount = Math.ceil(sizeBytes / chunkSizeBytes);
    this.pageCount = Math.ceil(this.chunkCount / CHUNKS_PER_PAGE);
  }

  /** For values from the network: null unless both are sane. Never throws. */
  static parse(sizeBytes: number, chunkSizeBytes: number): Geometry | null {
    return fits(sizeBytes, chunkSizeBytes) ? new Geometry(sizeBytes, chunkSizeBytes) : null;
  }

  /** Whether the chunk is one of this image's: for numbers from the network. */
  hasChunk(chunk: number): boolean {
    return Number.isInteger(chunk) && chunk >= 0 && chunk < this.chunkCount;
  }

  /** Where the chunk begins in the image, in bytes. */
  chunkOffset(chunk: number): number {
    // Beyond 2**32, so no shifting.
    return chunk * this.chunkSizeBytes;
  }

  /** The chunk's length in bytes: the last chunk ends where the image does. */
  chunkLength(chunk: number): number {
    return Math.min(this.chunkSizeBytes, this.sizeBytes - chunk * this.chunkSizeBytes);
  }

  /** The length of chunks `[first, first + count)` together, in bytes. */
  rangeLength(first: number, count: number): number {
    return Math.min(this.sizeBytes, this.chunkOffset(first + count)) - this.chunkOffset(first);
  }

  pageOf(chunk: number): number {
    return Math.floor(chunk / CHUNKS_PER_PAGE);
  }

  firstChunkOf(page: number): number {
    return page * CHUNKS_PER_PAGE;
  }

  /** How many chunks the page covers: the last page may be short. */
  chunksInPage(page: number): number {
    return Math.min(CHUNKS_PER_PAGE, this.chunkCount - page * CHUNKS_PER_PAGE);
  }
}

function fits(sizeBytes: number, chunkSizeBytes: number): boolean {
  return (
    Number.isSafeInteger(sizeBytes) &&
    sizeBytes >= 1 &&
    Number.isInteger(chunkSizeBytes) &&
    chunkSizeBytes >= MIN_CHUNK_SIZE_BYTES &&
    chunkSizeBytes <= MAX_CHUNK_SIZE_BYTES &&
    (chunkSizeBytes & (chunkSizeBytes - 1)) === 0 &&
    Math.ceil(sizeBytes / chunkSizeBytes) <= MAX_CHUNKS
  );
}
