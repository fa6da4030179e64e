/** The target and the workers that write it, look at it, and read it back. */
import type { CheckOrder, CheckOutcome, StoreOrder, StoreOutcome } from '../../client/receiver.js';
import type { Failure } from '../../failure.js';
import type { Digest } from '../../image/block-map.js';
import { ChunkExecutor } from '../workers/chunk-executor.js';
import type { ChunkJob, ChunkResult } from '../workers/chunk-jobs.js';
import { ChunkMemory } from '../workers/chunk-memory.js';
import { tellAfterCopy } from './after-copy.js';
import { TargetFile, type TargetOptions, targetFailure } from './target.js';
import { Veil } from './veil.js';

const CHUNK_MEMORY_BYTES = 32 * 1024 * 1024;
const LEAST_SLOTS = 16;
/** A slot costs memory of its own: a server that names tiny chunks must not fill it. */
const MOST_SLOTS = 256;
/** Places that can't be read are as good as wrong; other errors end the run. */
const UNREADABLE_CODES = new Set(['EIO', 'EOF', 'EREMOTEIO', 'EBADMSG', 'EINVAL']);

export class ClientDisk {
  /** What is read back comes from here, once the copy is verified. */
  #readFd: number;
  #isReadDirect = false;
  #remark: string | null = null;

  private constructor(
    readonly target: TargetFile,
    private readonly memory: ChunkMemory,
    private readonly executor: ChunkExecutor,
    private readonly mayDiscard: boolean,
    private readonly onFailure: (failure: Failure) => void,
    private readonly veil: Veil | null,
  ) {
    this.#readFd = target.fd;
  }

  /** @throws Failure when the target cannot take the image */
  static async open(
    options: TargetOptions,
    chunkSizeBytes: number,
    digestOf: Digest,
    discard: boolean,
    onFailure: (failure: Failure) => void,
    onAllocated: (ratio: number) => void,
  ): Promise<ClientDisk> {
    const fitting = Math.ceil(CHUNK_MEMORY_BYTES / chunkSizeBytes);
    const slotCount = Math.min(MOST_SLOTS, Math.max(LEAST_SLOTS, fitting));
    const target = await TargetFile.open(options, onAllocated);
    let veil: Veil | null = null;
    if (target.plan.kind === 'device' && !options.check) {
      try {
        veil = new Veil(target.fd, Math.min(chunkSizeBytes, options.sizeBytes));
      } catch (error) {
        await target.close();
        throw targetFailure(target.path, error as NodeJS.ErrnoException, 'write');
      }
    }
    const memory = new ChunkMemory(slotCount, chunkSizeBytes);
    const executor = new ChunkExecutor(memory, digestOf);
    // A file keeps its holes unless it is to be allocated; a device has to be asked for.
    const mayDiscard = target.plan.kind === 'file' ? options.sparse : discard;
    return new ClientDisk(target, memory, executor, mayDiscard, onFailure, veil);
  }

  get slots(): readonly Buffer[] {
    return this.memory.slots;
  }

  /** Orders to store are carried out at once, see `ChunkExecutor`. */
  get storesAtOnce(): boolean {
    return this.executor.isHere;
  }

  store(order: StoreOrder, done: (outcome: StoreOutcome) => void): void {
    if (order.kind === 'zeros') {
      this.#storeZeros(order.offsetBytes, order.lengthBytes, done);
      return;
    }
    const { offsetBytes, lengthBytes, encodedLength, encoding, expected } = order;
    const memoryOffset = this.memory.offsetOf(order.slot);
    const fd = this.#placeFor(offsetBytes);
    if (fd === null) return;
    const what = { memoryOffset, encodedLength, encoding, expected };
    this.#submit({ op: 'store', fd, offsetBytes, lengthBytes, ...what }, done);
  }

  /** A run that begins in the first chunk and ends behind it goes to two places. */
  #storeZeros(
    offsetBytes: number,
    lengthBytes: number,
    done: (outcome: StoreOutcome) => void,
  ): void {
    const veiledBytes = this.veil?.shareOf(offsetBytes, lengthBytes) ?? 0;
    const fd = this.#placeFor(offsetBytes);
    if (fd === null) return;
    const { mayDiscard } = this;
    if (veiledBytes === 0 || veiledBytes === lengthBytes) {
      this.#submit({ op: 'zeros', fd, offsetBytes, lengthBytes, mayDiscard }, done);
      return;
    }
    const first = { op: 'zeros', fd, offsetBytes, lengthBytes: veiledBytes, mayDiscard } as const;
    this.#submit(first, () =>
      this.#storeZeros(offsetBytes + veiledBytes, lengthBytes - veiledBytes, done),
    );
  }

  /** Where a place is written: the first chunk of a device has to wait. Null when that fails. */
  #placeFor(offsetBytes: number): number | null {
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

  #submit(job: ChunkJob, done: (outcome: StoreOutcome) => void): void {
    this.executor.submit(job, (result) => {
      if (result.kind === 'failed') this.#fail(result, 'write');
      else if (result.kind === 'stored' || result.kind === 'refused') this.#stored(result, done);
      else throw new Error(`a store came to ${result.kind}`);
    });
  }

  #stored(outcome: StoreOutcome, done: (outcome: StoreOutcome) => void): void {
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
    const isDirect = order.isDirect && this.#isReadDirect;
    const { offsetBytes, lengthBytes } = order;
    if (order.isDirect)
      this.#look(this.#readFd, offsetBytes, lengthBytes, wantsDigest, isDirect, done);
    else this.#lookAtTarget(offsetBytes, lengthBytes, wantsDigest, done);
  }

  /** A run that begins in the first chunk and ends behind it is at two places. */
  #lookAtTarget(
    offsetBytes: number,
    lengthBytes: number,
    wantsDigest: boolean,
    done: (outcome: CheckOutcome) => void,
  ): void {
    const { veil } = this;
    const { fd } = this.target;
    const veiledBytes = veil?.shareOf(offsetBytes, lengthBytes) ?? 0;
    if (veil === null || veiledBytes === 0) {
      this.#look(fd, offsetBytes, lengthBytes, wantsDigest, false, done);
    } else if (veiledBytes === lengthBytes) {
      this.#look(veil.fd, offsetBytes, lengthBytes, wantsDigest, false, done);
    } else {
      this.#look(veil.fd, offsetBytes, veiledBytes, false, false, (outcome) => {
        const isZero = outcome.kind === 'found' && outcome.digest === null;
        if (!isZero) done(outcome);
        else this.#lookAtTarget(offsetBytes + veiledBytes, lengthBytes - veiledBytes, false, done);
      });
    }
  }

  #look(
    fd: number,
    offsetBytes: number,
    lengthBytes: number,
    wantsDigest: boolean,
    isDirect: boolean,
    done: (outcome: CheckOutcome) => void,
  ): void {
    const job = { op: 'check', fd, offsetBytes, lengthBytes, isDirect, wantsDigest } as const;
    this.executor.submitPatient(job, (result) => {
      if (result.kind === 'found') done(result);
      else if (result.kind !== 'failed') throw new Error(`a check came to ${result.kind}`);
      else if (UNREADABLE_CODES.has(result.code)) done({ kind: 'unreadable' });
      else this.#fail(result, 'read');
    });
  }

  #fail(result: ChunkResult & { kind: 'failed' }, verb: 'write' | 'read'): void {
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
    this.#remark = await this.target.finish();
  }

  /** @returns what the operator should know of a copy that is finished */
  async tellAfterCopy(): Promise<string[]> {
    const { plan, sizeBytes } = this.target;
    if (plan.kind !== 'device') return this.#remark === null ? [] : [this.#remark];
    return tellAfterCopy(plan.path, sizeBytes, plan.partitionStarts);
  }

  /** From now on, what is read back is the disk's. @returns how, for people */
  async readBack(chunkSizeBytes: number): Promise<string> {
    const { fd, isDirect, description } = await this.target.readBack(chunkSizeBytes);
    this.#readFd = fd;
    this.#isReadDirect = isDirect;
    return description;
  }

  async close(): Promise<void> {
    await this.executor.close();
    this.veil?.close();
    await this.target.close();
  }
}
