/**
 * Where a copy is written. A regular file is `NAME.part` until it is proven and synced, and then
 * gets its name; a block device is written in place.
 */

import { type BigIntStats, constants, fstatSync, ftruncateSync, renameSync } from 'node:fs';
import { access, copyFile, type FileHandle, open, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Failure } from '../../failure.js';
import { isSyncing, syncHandle } from '../system/leave.js';
import { loadNative } from '../system/native.js';
import { PAGE_BYTES } from '../workers/page-memory.js';
import { AUTO, refuseChoiceEarly } from './auto-target.js';
import { refuseClaimed, refuseLocked, takeLock } from './locks.js';
import { refuseShortRoom, roomFor } from './room.js';
import { targetFailure } from './target-failure.js';
import { assertSize, assertStillThere, assertUnchanged } from './target-identity.js';
import type { TargetOptions } from './target-options.js';
import { planTarget, type TargetPlan } from './target-plan.js';
import type { Veil } from './veil.js';

export { targetFailure } from './target-failure.js';
export type { TargetOptions } from './target-options.js';
export { safeName } from './target-plan.js';

/** How a copy is read back. */
interface ReadBack {
  fd: number;
  isDirect: boolean;
  /** For people: what it proves. */
  description: string;
}

export class TargetFile {
  private direct: FileHandle | null = null;
  private isClosed = false;
  /** The work file has its name; before that, an existing file is only read. */
  private isBegun: boolean;
  private isWrittenSince = false;
  /** What the file was like after our own last write; null while there is none. */
  private mark: BigIntStats | null = null;

  private constructor(
    readonly plan: TargetPlan,
    private readonly handle: FileHandle,
    private readonly options: TargetOptions,
  ) {
    this.isBegun = !isTakenInPlace(plan);
  }

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

  /**
   * @param onAllocated how much of a file that is allocated first is there, 0 to 1
   * @throws Failure when the target cannot take the image
   */
  static async open(
    options: TargetOptions,
    onAllocated: (ratio: number) => void = () => {},
  ): Promise<TargetFile> {
    const plan = await planUnlocked(options);
    try {
      const { path, workPath } = plan;
      if (plan.isCopied) await copyFile(path, workPath, constants.COPYFILE_FICLONE);
      const handle = await openWork(plan, options);
      try {
        // After a write that failed, the cache may hold what the disk does not, and what is read
        // from there would count as written.
        if (plan.holdsEarlierData) loadNative()?.dropCache(handle.fd);
        if (!options.check) await prepareHandle(handle, plan, options, onAllocated);
      } catch (error) {
        await handle.close();
        throw error;
      }
      return new TargetFile(plan, handle, options);
    } catch (error) {
      throw asFailure(plan.path, error, options.check ? 'read' : 'write');
    }
  }

  /** The next thing is a write: an existing file gives up its name. @throws what the system says */
  begin(): void {
    this.isWrittenSince = true;
    if (this.isBegun) return;
    renameSync(this.plan.path, this.plan.workPath);
    this.isBegun = true;
    ftruncateSync(this.fd, this.options.sizeBytes);
  }

  /** A write of ours came back. @throws Failure when somebody else has cut the file */
  noteWritten(): void {
    if (this.plan.kind === 'file') assertSize(this.fd, this.plan.workPath, this.options.sizeBytes);
  }

  /** Brings everything to the disk. @param veil has what has to be written last */
  async sync(veil: Veil | null = null): Promise<void> {
    try {
      if (this.plan.kind === 'file') this.look();
      await syncHandle(this.handle);
      await veil?.lift(this.handle);
      if (this.plan.kind === 'file') this.look();
    } catch (error) {
      throw asFailure(this.path, error, 'write');
    }
  }

  /** Takes a mark after a write of ours; later, nothing may have changed since. */
  private look(): void {
    const stats = fstatSync(this.fd, { bigint: true });
    if (this.mark === null || this.isWrittenSince) this.mark = stats;
    else assertUnchanged(this.mark, stats, this.plan.workPath);
    this.isWrittenSince = false;
  }

  /** For reading a synced copy back, past the system's cache where that can be done. */
  async readBack(chunkSizeBytes: number): Promise<ReadBack> {
    const native = loadNative();
    if (native !== null && chunkSizeBytes % PAGE_BYTES === 0) {
      try {
        const flags = constants.O_RDONLY | constants.O_DIRECT;
        this.direct ??= await open(`/proc/self/fd/${this.fd}`, flags);
        const description = 'reading the copy back from the disk (O_DIRECT)';
        return { fd: this.direct.fd, isDirect: true, description };
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

  /**
   * Brings everything to the disk and gives the copy its name.
   * @returns what the operator should know of a copy that is there, or null
   */
  async finish(): Promise<string | null> {
    try {
      // A file that held the image already may be longer than it.
      if (!this.isBegun && !(await this.hasRightSize())) this.begin();
      await this.sync();
      const { path, workPath, kind } = this.plan;
      const name = this.isBegun ? workPath : path;
      await assertStillThere(this.handle, name, kind, this.options.sizeBytes);
      if (kind === 'file') this.look();
      if (kind === 'file' && this.isBegun) await rename(workPath, path);
    } catch (error) {
      throw asFailure(this.path, error, 'write');
    }
    const remark = this.plan.kind === 'file' ? await syncFolder(this.path) : null;
    await this.close();
    return remark;
  }

  /**
   * A target that is only checked: whether it ends where the image does. A device may be larger.
   */
  async hasRightSize(): Promise<boolean> {
    if (this.plan.kind === 'device') return true;
    return (await this.handle.stat()).size === this.options.sizeBytes;
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    // Closing would wait for the disk as well; the end of the process does it.
    if (isSyncing()) return;
    await this.direct?.close();
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
  if (plan.kind === 'device' && !options.check && !plan.isForced) await refuseClaimed(plan.path);
  return plan;
}

async function openWork(plan: TargetPlan, options: TargetOptions): Promise<FileHandle> {
  const flags = flagsFor(plan, options);
  try {
    return await open(isTakenInPlace(plan) ? plan.path : plan.workPath, flags, 0o666);
  } catch (error) {
    const isClaimed = (error as NodeJS.ErrnoException).code === 'EBUSY';
    // LVM or RAID claims it, and the operator overrules that. What is mounted was refused before.
    if (!isClaimed || !plan.isForced) throw error;
    return open(plan.workPath, flags & ~constants.O_EXCL, 0o666);
  }
}

/**
 * What can be known of a target before there is an image: said at the start, not when an evening
 * is lost.
 * @returns what it is so far; null while even its name comes with the image
 * @throws Failure when it cannot take any image
 */
export async function refuseEarly(
  options: Omit<TargetOptions, ImageFields>,
): Promise<TargetPlan | null> {
  const { output, check } = options;
  if (output === AUTO) {
    refuseChoiceEarly();
    return null;
  }
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
  return plan;
}

type ImageFields = 'imageName' | 'sizeBytes' | 'sectorSizeBytes';

function flagsFor(plan: TargetPlan, options: TargetOptions): number {
  if (options.check) return constants.O_RDONLY;
  // On a block device O_EXCL fails while it is mounted or claimed by swap, LVM or RAID.
  if (plan.kind === 'device') return constants.O_RDWR | constants.O_EXCL;
  return constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
}

async function prepareHandle(
  handle: FileHandle,
  plan: TargetPlan,
  options: TargetOptions,
  onAllocated: (ratio: number) => void,
): Promise<void> {
  await takeLock(handle, plan.path);
  if (plan.kind === 'device') return;
  if (plan.inherits !== null) await inherit(handle, plan.inherits);
  const { size } = await handle.stat();
  if (!options.sparse) await allocate(handle, plan, size, options.sizeBytes, onAllocated);
  // A file that is taken over stays as it is until something is written.
  if (!isTakenInPlace(plan) && size !== options.sizeBytes) await handle.truncate(options.sizeBytes);
}

/** Whether an existing file is used under its own name, until the first write. */
function isTakenInPlace({ takesOver, isCopied }: TargetPlan): boolean {
  return takesOver !== null && !isCopied;
}

/** Who may use the file that is replaced, may use its copy. */
async function inherit(
  handle: FileHandle,
  { mode, uid, gid }: NonNullable<TargetPlan['inherits']>,
): Promise<void> {
  try {
    const own = await handle.stat();
    if (own.uid !== uid || own.gid !== gid) await handle.chown(uid, gid);
    if ((own.mode & 0o7777) !== mode) await handle.chmod(mode);
  } catch {
    // Only root may give files away, and some file systems know no owners.
  }
}

/**
 * Reserves the file's whole size, so that too little space is found out now.
 * @param from bytes before this hold data that must stay
 */
async function allocate(
  handle: FileHandle,
  plan: TargetPlan,
  from: number,
  sizeBytes: number,
  onAllocated: (ratio: number) => void,
): Promise<void> {
  // What the disk cannot hold must not fill it first: anybody may have named the size.
  const held = await handle.stat({ bigint: true });
  refuseShortRoom(plan.path, roomFor(plan.workPath, held), sizeBytes);
  const status = loadNative()?.allocate(handle.fd, sizeBytes, isTakenInPlace(plan)) ?? -1;
  if (status === 0) return;
  const ENOSPC = 28;
  if (status === ENOSPC) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  if (isTakenInPlace(plan)) return;
  const zeros = Buffer.alloc(4 * 1024 * 1024);
  for (let at = plan.holdsEarlierData ? from : 0; at < sizeBytes; at += zeros.length) {
    await handle.write(zeros, 0, Math.min(zeros.length, sizeBytes - at), at);
    onAllocated(Math.min(1, (at + zeros.length) / sizeBytes));
  }
}

/**
 * The name is there; that it survives a power cut as well is up to the folder. @returns why it may
 * not
 */
async function syncFolder(path: string): Promise<string | null> {
  try {
    const folder = await open(dirname(resolve(path)), 'r');
    await folder.sync().finally(() => folder.close());
    return null;
  } catch (error) {
    const { message } = error as Error;
    return (
      `the copy is proven and has its name, but its folder cannot be synced ` +
      `(${message}): after a power cut it may still be called ${path}.part`
    );
  }
}

/** What the system complained of becomes a Failure; anything else stays what it is. */
function asFailure(path: string, error: unknown, verb: 'write' | 'read'): unknown {
  if (error instanceof Failure || !(error instanceof Error) || !('code' in error)) return error;
  return targetFailure(path, error as NodeJS.ErrnoException, verb);
}
