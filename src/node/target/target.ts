/**
 * Where a copy is written. A regular file is `NAME.part` until it is proven and synced, and then
 * gets its name; a block device is written in place.
 */
import { constants } from 'node:fs';
import { access, type FileHandle, open, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Failure } from '../../failure.js';
import { isSyncing, syncHandle } from '../leave.js';
import { loadNative } from '../native.js';
import { PAGE_BYTES } from '../workers/page-memory.js';
import { refuseLocked, takeLock } from './locks.js';
import { assertStillThere } from './still-there.js';
import { targetFailure } from './target-failure.js';
import type { TargetOptions } from './target-options.js';
import { planTarget, type TargetPlan } from './target-plan.js';
import type { Veil } from './veil.js';

export { targetFailure } from './target-failure.js';
export type { TargetOptions } from './target-options.js';
export { safeName } from './target-plan.js';

/** How a copy is read back. */
export interface ReadBack {
  fd: number;
  isDirect: boolean;
  /** For people: what it proves. */
  description: string;
}

export class TargetFile {
  #direct: FileHandle | null = null;
  #isClosed = false;

  private constructor(
    readonly plan: TargetPlan,
    private readonly handle: FileHandle,
    private readonly options: TargetOptions,
  ) {}

  get fd(): number {
    return this.handle.fd;
  }

  get path(): string {
    return this.plan.path;
  }

  /** Of the image. */
  get sizeBytes(): number {
    return this.options.sizeBytes;
  }

  /** Reads as zeros wherever nothing was written. */
  get isBlank(): boolean {
    return this.plan.kind === 'file' && !this.plan.holdsEarlierData;
  }

  /** @throws Failure when the target cannot take the image */
  static async open(options: TargetOptions): Promise<TargetFile> {
    const plan = await planUnlocked(options);
    try {
      if (plan.takesOver !== null) await rename(plan.takesOver, plan.workPath);
      const handle = await openWork(plan, options);
      try {
        if (!options.check) await prepareHandle(handle, plan, options);
      } catch (error) {
        await handle.close();
        throw error;
      }
      return new TargetFile(plan, handle, options);
    } catch (error) {
      throw asFailure(plan.path, error, options.check ? 'read' : 'write');
    }
  }

  /** Brings everything to the disk. @param veil has what has to be written last */
  async sync(veil: Veil | null = null): Promise<void> {
    try {
      await syncHandle(this.handle);
      await veil?.lift(this.handle);
    } catch (error) {
      throw asFailure(this.path, error, 'write');
    }
  }

  /** For reading a synced copy back, past the system's cache where that can be done. */
  async readBack(chunkSizeBytes: number): Promise<ReadBack> {
    const native = loadNative();
    if (native !== null && chunkSizeBytes % PAGE_BYTES === 0) {
      try {
        const flags = constants.O_RDONLY | constants.O_DIRECT;
        this.#direct ??= await open(`/proc/self/fd/${this.fd}`, flags);
        const description = 'reading the copy back from the disk (O_DIRECT)';
        return { fd: this.#direct.fd, isDirect: true, description };
      } catch {
        // The file system does not know direct reads.
      }
    }
    native?.dropCache(this.fd);
    const description =
      native === null
        ? "reading the copy back; the system's cache may answer in place of the disk"
        : "reading the copy back, after the system's cache was asked to let go of it";
    return { fd: this.fd, isDirect: false, description };
  }

  /** Brings everything to the disk and gives the copy its name. */
  async finish(): Promise<void> {
    await this.sync();
    try {
      await assertStillThere(this.handle, this.plan, this.options.sizeBytes);
      if (this.plan.kind === 'file') {
        await rename(this.plan.workPath, this.path);
        const folder = await open(dirname(resolve(this.path)), 'r');
        await folder.sync();
        await folder.close();
      }
      await this.close();
    } catch (error) {
      throw asFailure(this.path, error, 'write');
    }
  }

  /** A target that is only checked: whether it ends where the image does. A device may be larger. */
  async hasRightSize(): Promise<boolean> {
    if (this.plan.kind === 'device') return true;
    return (await this.handle.stat()).size === this.options.sizeBytes;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Closing would wait for the disk as well; the end of the process does it.
    if (isSyncing()) return;
    await this.#direct?.close();
    await this.handle.close();
  }
}

/**
 * As `planTarget`, and nobody here serves or writes it just now.
 * @throws Failure when the target cannot take the image
 */
export async function planUnlocked(options: TargetOptions): Promise<TargetPlan> {
  const plan = planTarget(options);
  for (const path of plan.mustBeFree) await refuseLocked(path);
  return plan;
}

async function openWork(plan: TargetPlan, options: TargetOptions): Promise<FileHandle> {
  const flags = flagsFor(plan, options);
  try {
    return await open(plan.workPath, flags, 0o666);
  } catch (error) {
    const isClaimed = (error as NodeJS.ErrnoException).code === 'EBUSY';
    // LVM or RAID claims it, and the operator overrules that. What is mounted was refused before.
    if (!isClaimed || !plan.isForced) throw error;
    return open(plan.workPath, flags & ~constants.O_EXCL, 0o666);
  }
}

/**
 * What can be known of a target before there is an image: said at the start, not when an evening is lost.
 * @throws Failure when it cannot take any image
 */
export async function refuseEarly(options: Omit<TargetOptions, ImageFields>): Promise<void> {
  const { output, check } = options;
  const image = { imageName: '', sizeBytes: 0, sectorSizeBytes: 0 };
  const plan = output === undefined ? null : planTarget({ ...options, ...image });
  const isWritten = check ? constants.R_OK : constants.R_OK | constants.W_OK;
  try {
    if (plan?.kind === 'device') {
      await access(plan.path, isWritten);
    } else if (!check) {
      // The work file is made and renamed there.
      await access(dirname(resolve(output ?? 'image')), constants.W_OK | constants.X_OK);
    }
  } catch (error) {
    throw asFailure(output ?? '.', error, check ? 'read' : 'write');
  }
}

type ImageFields = 'imageName' | 'sizeBytes' | 'sectorSizeBytes';

function flagsFor(plan: TargetPlan, options: TargetOptions): number {
  if (options.check) return constants.O_RDONLY;
  // On a block device O_EXCL fails while it is mounted or claimed by swap, LVM or RAID.
  if (plan.kind === 'device') return constants.O_RDWR | constants.O_EXCL;
  return constants.O_RDWR | constants.O_CREAT;
}

async function prepareHandle(
  handle: FileHandle,
  plan: TargetPlan,
  options: TargetOptions,
): Promise<void> {
  await takeLock(handle, plan.path);
  if (plan.kind === 'device') return;
  const { size } = await handle.stat();
  if (size !== options.sizeBytes) await handle.truncate(options.sizeBytes);
  if (!options.sparse) await allocate(handle, plan.holdsEarlierData ? size : 0, options.sizeBytes);
}

/**
 * Reserves the file's whole size, so that too little space is found out now.
 * @param from bytes before this hold data that must stay
 */
async function allocate(handle: FileHandle, from: number, sizeBytes: number): Promise<void> {
  const native = loadNative();
  if (native !== null) {
    const status = native.allocate(handle.fd, sizeBytes);
    if (status === 0) return;
    const ENOSPC = 28;
    if (status === ENOSPC) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  }
  const zeros = Buffer.alloc(4 * 1024 * 1024);
  for (let at = from; at < sizeBytes; at += zeros.length) {
    await handle.write(zeros, 0, Math.min(zeros.length, sizeBytes - at), at);
  }
}

/** What the system complained of becomes a Failure; anything else stays what it is. */
function asFailure(path: string, error: unknown, verb: 'write' | 'read'): unknown {
  if (error instanceof Failure || !(error instanceof Error) || !('code' in error)) return error;
  return targetFailure(path, error as NodeJS.ErrnoException, verb);
}
