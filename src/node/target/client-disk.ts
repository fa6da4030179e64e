/** The target and the workers that write it, look at it, and read it back. */
import type { CheckOrder, CheckOutcome, StoreOrder, StoreOutcome } from '../../client/outputs.js';
import { Failure } from '../../failure.js';
import type { Digest } from '../../image/block-map.js';
import type { ChunkJob, ChunkResult } from '../workers/chunk-job.js';
import { ChunkJobs, STORES } from '../workers/chunk-jobs.js';
import { ChunkMemory } from '../workers/chunk-memory.js';
import { tellBehindImage, tellPartitions } from './after-copy.js';
import { TargetFile, type TargetOptions, targetFailure } from './target.js';
import { Veil } from './veil.js';

const CHUNK_MEMORY_BYTES = 32 * 1024 * 1024;
const MIN_SLOTS = 16;
/** A slot costs memory of its own: a server that names tiny chunks must not fill it. */
const MAX_SLOTS = 256;
/** Places that can't be read are as good as wrong; other errors end the run. */
const UNREADABLE_CODES = new Set(['EIO', 'EOF', 'EREMOTEIO', 'EBADMSG', 'EINVAL']);

export class ClientDisk {
  /** What is read back comes from here, once the copy is verified. */
  private readFd: number;
  private isReadDirect = false;
  private remark: string | null = null;

  private constructor(
    readonly target: TargetFile,
    private readonly memory: ChunkMemory,
    private readonly jobs: ChunkJobs,
    private readonly mayDiscard: boolean,
    private readonly wipesFree: boolean,
    private readonly onFailure: (failure: Failure) => void,
    private readonly veil: Veil | null,
  ) {
    this.readFd = target.fd;
  }

  /** @throws Failure when the target cannot take the image */
  static async open(
    options: TargetOptions,
    chunkSizeBytes: number,
    digestOf: Digest,
    { discard, wipeFree }: { discard: boolean; wipeFree: boolean },
    onFailure: (failure: Failure) => void,
    onAllocated: (ratio: number) => void,
  ): Promise<ClientDisk> {
    const fitting = Math.ceil(CHUNK_MEMORY_BYTES / chunkSizeBytes);
    const slotCount = Math.min(MAX_SLOTS, Math.max(MIN_SLOTS, fitting));
    const target = await TargetFile.open(options, onAllocated);
    let veil: Veil | null = null;
    if (target.plan.kind === 'device' && !options.check) {
      try {
        veil = new Veil(target.fd, Math.min(chunkSizeBytes, options.sizeBytes));
      } catch (error) {
        await target.close();
        if (error instanceof Failure) throw error;
        throw targetFailure(target.path, error as NodeJS.ErrnoException, 'write');
      }
    }
    const memory = new ChunkMemory(slotCount, chunkSizeBytes);
    const jobs = new ChunkJobs(memory, digestOf, STORES);
    // A file keeps its holes unless it is to be allocated; a device has to be asked for.
    const mayDiscard = target.plan.kind === 'file' ? options.sparse : discard;
    return new ClientDisk(target, memory, jobs, mayDiscard, wipeFree, onFailure, veil);
  }

  /** What no file system uses is not left as it is. A file's is nobody's to discard. */
  get clearsFree(): boolean {
    return this.wipesFree || (this.mayDiscard && this.target.plan.kind === 'device');
  }

  get slots(): readonly Buffer[] {
    return this.memory.slots;
  }

  /** Orders to store are carried out at once, see `ChunkJobs`. */
  get storesAtOnce(): boolean {
    return this.jobs.isAtOnce;
  }

  store(order: StoreOrder, done: (outcome: StoreOutcome) => void): void {
    if (order.kind === 'store-zeros') {
      if (order.isFree && !this.wipesFree) this.discard(order, done);
      else this.storeZeros(order.offsetBytes, order.lengthBytes, done);
      return;
    }
    const memoryOffset = this.memory.offsetOf(order.slot);
    if (order.kind === 'load') {
      this.load(order, memoryOffset, done);
      return;
    }
    const { offsetBytes, lengthBytes, encodedLength, encoding, expected, seal } = order;
    const fd = this.placeFor(offsetBytes);
    if (fd === null) return;
    const what = { memoryOffset, encodedLength, encoding, expected, seal };
    this.submit({ op: 'store', fd, offsetBytes, lengthBytes, ...what }, done);
  }

  /** Reads what is there into memory. What cannot be read is as good as wrong. */
  private load(
    { offsetBytes, lengthBytes, seal }: StoreOrder & { kind: 'load' },
    memoryOffset: number,
    done: (outcome: StoreOutcome) => void,
  ): void {
    const { veil, target } = this;
    const fd = veil?.covers(offsetBytes) ? veil.fd : target.fd;
    this.jobs.submit({ op: 'load', fd, offsetBytes, lengthBytes, memoryOffset, seal }, (result) => {
      done(result.kind === 'loaded' ? result : { kind: 'refused' });
    });
  }

  /** What no file system uses. The first chunk is never free; if a server says so, it stays. */
  private discard(
    { offsetBytes, lengthBytes }: { offsetBytes: number; lengthBytes: number },
    done: (outcome: StoreOutcome) => void,
  ): void {
    const veiledBytes = this.veil?.shareOf(offsetBytes, lengthBytes) ?? 0;
    const fd = this.placeFor(offsetBytes + veiledBytes);
    if (fd === null) return;
    const what = { offsetBytes: offsetBytes + veiledBytes, lengthBytes: lengthBytes - veiledBytes };
    this.submit({ op: 'discard', fd, ...what }, done);
  }

  /** A run that begins in the first chunk and ends behind it goes to two places. */
  private storeZeros(
    offsetBytes: number,
    lengthBytes: number,
    done: (outcome: StoreOutcome) => void,
  ): void {
    const veiledBytes = this.veil?.shareOf(offsetBytes, lengthBytes) ?? 0;
    const fd = this.placeFor(offsetBytes);
    if (fd === null) return;
    const { mayDiscard } = this;
    if (veiledBytes === 0 || veiledBytes === lengthBytes) {
      this.submit({ op: 'zeros', fd, offsetBytes, lengthBytes, mayDiscard }, done);
      return;
    }
    const first = { op: 'zeros', fd, offsetBytes, lengthBytes: veiledBytes, mayDiscard } as const;
    this.submit(first, () =>
      this.storeZeros(offsetBytes + veiledBytes, lengthBytes - veiledBytes, done),
    );
  }

  /** Where a place is written: the first chunk of a device has to wait. Null when that fails. */
  private placeFor(offsetBytes: number): number | null {
    const { veil, target } = this;
    if (veil?.covers(offsetBytes)) {
      veil.change();
      return veil.fd;
    }
    try {
      target.begin();
      veil?.draw();
      return target.fd;
    } catch (error) {
      this.onFailure(targetFailure(this.target.path, error as NodeJS.ErrnoException, 'write'));
      return null;
    }
  }

  private submit(job: ChunkJob, done: (outcome: StoreOutcome) => void): void {
    this.jobs.submit(job, (result) => {
      if (result.kind === 'failed') this.fail(result, 'write');
      else if (result.kind === 'stored' || result.kind === 'refused') this.stored(result, done);
      else throw new Error(`a store came to ${result.kind}`);
    });
  }

  private stored(outcome: StoreOutcome, done: (outcome: StoreOutcome) => void): void {
    try {
      this.target.noteWritten();
    } catch (error) {
      this.onFailure(error as Failure);
      return;
    }
    done(outcome);
  }

  check(order: CheckOrder, done: (outcome: CheckOutcome) => void): void {
    const wantsDigest = order.count === 1;
    const isDirect = order.isDirect && this.isReadDirect;
    const { offsetBytes, lengthBytes } = order;
    if (order.isDirect)
      this.look(this.readFd, offsetBytes, lengthBytes, wantsDigest, isDirect, done);
    else this.lookAtTarget(offsetBytes, lengthBytes, wantsDigest, done);
  }

  /** A run that begins in the first chunk and ends behind it is at two places. */
  private lookAtTarget(
    offsetBytes: number,
    lengthBytes: number,
    wantsDigest: boolean,
    done: (outcome: CheckOutcome) => void,
  ): void {
    const { veil } = this;
    const { fd } = this.target;
    const veiledBytes = veil?.shareOf(offsetBytes, lengthBytes) ?? 0;
    if (veil === null || veiledBytes === 0) {
      this.look(fd, offsetBytes, lengthBytes, wantsDigest, false, done);
    } else if (veiledBytes === lengthBytes) {
      this.look(veil.fd, offsetBytes, lengthBytes, wantsDigest, false, done);
    } else {
      this.look(veil.fd, offsetBytes, veiledBytes, false, false, (outcome) => {
        const isZero = outcome.kind === 'found' && outcome.digest === null;
        if (!isZero) done(outcome);
        else this.lookAtTarget(offsetBytes + veiledBytes, lengthBytes - veiledBytes, false, done);
      });
    }
  }

  private look(
    fd: number,
    offsetBytes: number,
    lengthBytes: number,
    wantsDigest: boolean,
    isDirect: boolean,
    done: (outcome: CheckOutcome) => void,
  ): void {
    const job = { op: 'check', fd, offsetBytes, lengthBytes, isDirect, wantsDigest } as const;
    this.jobs.submitPatient(job, (result) => {
      if (result.kind === 'found') done(result);
      else if (result.kind !== 'failed') throw new Error(`a check came to ${result.kind}`);
      else if (UNREADABLE_CODES.has(result.code)) done({ kind: 'unreadable' });
      else this.fail(result, 'read');
    });
  }

  private fail(result: ChunkResult & { kind: 'failed' }, verb: 'write' | 'read'): void {
    const { code, reason } = result;
    this.onFailure(targetFailure(this.target.path, { code, message: reason }, verb));
  }

  /** Brings all to the disk, the first chunk of a device last. */
  async sync(): Promise<void> {
    await this.target.sync(this.veil);
  }

  /** Brings all to the disk, and gives the copy its name. */
  async finish(): Promise<void> {
    await this.sync();
    // Chunks may have come from the network while they were still being looked at: what comes of
    // that with a file that is closed is nobody's business. The server need not wait for it.
    void this.jobs.close();
    this.remark = await this.target.finish();
  }

  /**
   * @param willFit what lies behind the image is told after the fit, by whoever does that
   * @returns what the operator should know of a copy that is finished
   */
  async tellAfterCopy(willFit: boolean): Promise<string[]> {
    const { plan, sizeBytes } = this.target;
    if (plan.kind !== 'device') return this.remark === null ? [] : [this.remark];
    const news = await tellPartitions(plan.path);
    if (willFit) return news;
    return [...news, ...tellBehindImage(plan.path, sizeBytes, plan.partitionStarts)];
  }

  /** From now on, what is read back is the disk's. @returns how, for people */
  async readBack(chunkSizeBytes: number): Promise<string> {
    const { fd, isDirect, description } = await this.target.readBack(chunkSizeBytes);
    this.readFd = fd;
    this.isReadDirect = isDirect;
    return description;
  }

  async close(): Promise<void> {
    await this.jobs.close();
    this.veil?.close();
    await this.target.close();
  }
}
