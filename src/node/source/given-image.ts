/** What is served when another program has the image: it is asked for bytes, chunk by chunk. */
import { Failure } from '../../failure.js';
import { type Geometry, MAX_IMAGE_SIZE_BYTES } from '../../image/geometry.js';
import { sectorSizeOf } from '../../image/partition-table.js';
import { NO_STATEMENT, type SignedStatement } from '../../server/client-messages.js';
import type { ChunkResult, JobDone } from '../workers/chunk-job.js';
import type { ChunkJobs } from '../workers/chunk-jobs.js';
import type { ChunkMemory } from '../workers/chunk-memory.js';
import { loadedReadJob } from './chunk-reading.js';
import type { ExtentFinder } from './holes.js';
import type {
  ChunkRead,
  ChunkReader,
  ImageSource,
  ImageWatch,
  ServedImage,
} from './image-source.js';

/** As much as a partition table and what it begins with take. */
const HEAD_BYTES = 65_536;

/** @throws Error when there are fewer bytes than the source has promised */
async function readFully(source: ImageSource, bytes: Buffer, offsetBytes: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const count = await source.read(bytes.subarray(done), offsetBytes + done);
    if (!(count > 0 && count <= bytes.length - done)) {
      throw new Error(`the source read ${count} bytes at ${offsetBytes + done}`);
    }
    done += count;
  }
}

/** Chunks of which only the digest is wanted come one after the other, in a slot of their own. */
class GivenReader implements ChunkReader {
  private readonly ownSlot: number;
  private readonly waiting: { chunk: number; done: JobDone }[] = [];
  private isOwnSlotTaken = false;

  constructor(
    private readonly source: ImageSource,
    private readonly jobs: ChunkJobs,
    private readonly memory: ChunkMemory,
    private readonly geometry: Geometry,
    private readonly chunkKey: Uint8Array | null,
  ) {
    this.ownSlot = memory.slots.length - 1;
  }

  read(order: ChunkRead, done: JobDone): void {
    if (order.slot >= 0) {
      this.readInto(order, done);
      return;
    }
    this.waiting.push({ chunk: order.chunk, done });
    this.readWaiting();
  }

  private readWaiting(): void {
    if (this.isOwnSlotTaken) return;
    const next = this.waiting.shift();
    if (next === undefined) return;
    this.isOwnSlotTaken = true;
    const order = {
      chunk: next.chunk,
      slot: this.ownSlot,
      level: 0,
      isRepeat: false,
      isPlain: false,
    };
    this.readInto(order, (result) => {
      this.isOwnSlotTaken = false;
      next.done(result);
      this.readWaiting();
    });
  }

  private readInto({ chunk, slot, level, isRepeat, isPlain }: ChunkRead, done: JobDone): void {
    const { geometry, memory, jobs } = this;
    const bytes = memory.slots[slot]!.subarray(0, geometry.chunkLength(chunk));
    readFully(this.source, bytes, geometry.chunkOffset(chunk)).then(
      () => {
        const offset = memory.offsetOf(slot);
        // What is read only to learn what it is does not travel.
        const key = slot === this.ownSlot ? null : this.chunkKey;
        jobs.submit(loadedReadJob(geometry, chunk, offset, level, isRepeat, isPlain, key), done);
      },
      (error: Error) => done(failed(error)),
    );
  }
}

function failed({ message, ...more }: Error): ChunkResult {
  const { code = 'UNKNOWN' } = more as NodeJS.ErrnoException;
  return { kind: 'failed', code, reason: message };
}

class GivenWatch implements ImageWatch {
  private isTold = false;

  constructor(
    private readonly source: ImageSource,
    private readonly onChanged: (failure: Failure) => void,
  ) {
    source.changed?.((what) => this.changed(what));
  }

  isUnchanged(): boolean {
    return !this.isTold;
  }

  mapped(): boolean {
    return !this.isTold;
  }

  changed(what: string): void {
    if (this.isTold) return;
    this.isTold = true;
    const text = `${this.source.name} ${what} while it was served; serve it anew as it is now`;
    this.onChanged(new Failure('source', 'SOURCE_CHANGED', text));
  }

  /** What comes later is nobody's business. */
  close(): void {
    this.isTold = true;
  }
}

export class GivenImage implements ServedImage {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly extents: ExtentFinder | null;
  readonly ownSlots = 1;
  readonly used = null;

  private constructor(
    private readonly source: ImageSource,
    readonly sectorSizeBytes: number,
  ) {
    this.name = source.name;
    this.path = source.name;
    this.sizeBytes = source.sizeBytes;
    this.extents = source.extents ?? null;
  }

  /** @throws Failure when it cannot be served; whatever its first read rejects with */
  static async open(source: ImageSource): Promise<GivenImage> {
    const { name, sizeBytes } = source;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
      const text = `${name} has ${sizeBytes} bytes: there is nothing to serve`;
      throw new Failure('source', 'EMPTY', text);
    }
    if (sizeBytes > MAX_IMAGE_SIZE_BYTES) {
      const text = `${name} is too large: an image has at most 256 TiB`;
      throw new Failure('source', 'IMAGE_TOO_LARGE', text);
    }
    const head = Buffer.alloc(Math.min(sizeBytes, HEAD_BYTES));
    await readFully(source, head, 0);
    const sectorSizeBytes = sectorSizeOf((offsetBytes, lengthBytes) =>
      head.subarray(offsetBytes, offsetBytes + lengthBytes),
    );
    return new GivenImage(source, sectorSizeBytes);
  }

  mapCache(): null {
    return null;
  }

  reader(
    jobs: ChunkJobs,
    memory: ChunkMemory,
    geometry: Geometry,
    chunkKey: Uint8Array | null,
  ): ChunkReader {
    return new GivenReader(this.source, jobs, memory, geometry, chunkKey);
  }

  /** Statements lie beside files. */
  statement(): SignedStatement {
    return NO_STATEMENT;
  }

  watch(onChanged: (failure: Failure) => void): ImageWatch {
    return new GivenWatch(this.source, onChanged);
  }

  close(): void {}
}
