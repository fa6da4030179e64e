/** The target and the workers that write it, look at it, and read it back. */
import type { CheckOrder, CheckOutcome, StoreOrder, StoreOutcome } from '../../client/receiver.js';
import type { Failure } from '../../failure.js';
import type { Digest } from '../../image/block-map.js';
import { ChunkExecutor } from '../workers/chunk-executor.js';
import type { ChunkResult } from '../workers/chunk-jobs.js';
import { ChunkMemory } from '../workers/chunk-memory.js';
import { TargetFile, type TargetOptions, targetFailure } from './target.js';

const CHUNK_MEMORY_BYTES = 32 * 1024 * 1024;
const LEAST_SLOTS = 16;
/** Places that can't be read are as good as wrong; other errors end the run. */
const UNREADABLE_CODES = new Set(['EIO', 'EOF', 'EREMOTEIO', 'EBADMSG', 'EINVAL']);

export class ClientDisk {
  /** What is read back comes from here, once the copy is verified. */
  #readFd: number;
  #isReadDirect = false;

  private constructor(
    readonly target: TargetFile,
    private readonly memory: ChunkMemory,
    private readonly executor: ChunkExecutor,
    private readonly mayDiscard: boolean,
    private readonly onFailure: (failure: Failure) => void,
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
  ): Promise<ClientDisk> {
    const slotCount = Math.max(LEAST_SLOTS, Math.ceil(CHUNK_MEMORY_BYTES / chunkSizeBytes));
    const target = await TargetFile.open(options);
    const memory = new ChunkMemory(slotCount, chunkSizeBytes);
    const executor = new ChunkExecutor(memory, digestOf);
    // A file keeps its holes unless it is to be allocated; a device has to be asked for.
    const mayDiscard = target.plan.kind === 'file' ? options.sparse : discard;
    return new ClientDisk(target, memory, executor, mayDiscard, onFailure);
  }

  get slots(): readonly Buffer[] {
    return this.memory.slots;
  }

  /** Orders to store are carried out at once, see `ChunkExecutor`. */
  get storesAtOnce(): boolean {
    return this.executor.isHere;
  }

  store(order: StoreOrder, done: (outcome: StoreOutcome) => void): void {
    const { offsetBytes, lengthBytes } = order;
    const { fd } = this.target;
    const job =
      order.kind === 'zeros'
        ? ({ op: 'zeros', fd, offsetBytes, lengthBytes, mayDiscard: this.mayDiscard } as const)
        : ({
            op: 'store',
            fd,
            offsetBytes,
            lengthBytes,
            memoryOffset: this.memory.offsetOf(order.slot),
            encodedLength: order.encodedLength,
            encoding: order.encoding,
            expected: order.expected,
          } as const);
    this.executor.submit(job, (result) => {
      if (result.kind === 'failed') this.#fail(result, 'write');
      else if (result.kind === 'stored' || result.kind === 'refused') done(result);
      else throw new Error(`a store came to ${result.kind}`);
    });
  }

  check(order: CheckOrder, done: (outcome: CheckOutcome) => void): void {
    const { offsetBytes, lengthBytes, count } = order;
    const fd = order.isDirect ? this.#readFd : this.target.fd;
    const isDirect = order.isDirect && this.#isReadDirect;
    const wantsDigest = count === 1;
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

  /** From now on, what is read back is the disk's. @returns how, for people */
  async readBack(chunkSizeBytes: number): Promise<string> {
    const { fd, isDirect, description } = await this.target.readBack(chunkSizeBytes);
    this.#readFd = fd;
    this.#isReadDirect = isDirect;
    return description;
  }

  async close(): Promise<void> {
    await this.executor.close();
    await this.target.close();
  }
}
