/**
 * Notices that the image is not what it was when it was opened. A file's size and times tell. Of a
 * device its chunks do, when they read differently, or that it was mounted for writing.
 */
import { type BigIntStats, fstatSync, statSync } from 'node:fs';
import { Failure } from '../../failure.js';
import type { Source } from './source.js';
import { hasWriter, type SourceState } from './source-state.js';
import { writerOf } from './source-use.js';

const INTERVAL_MS = 1_000;

export class SourceWatch {
  private readonly path: string;
  private readonly fd: number;
  private readonly first: BigIntStats;
  private readonly forbidsWriters: boolean;
  private readonly isMountable: boolean;
  private readonly onChanged: (failure: Failure) => void;
  private readonly timer: NodeJS.Timeout;
  private isTold = false;
  /** The block map is made: what is read from now on is held against it. */
  private isMapped = false;

  /** @param onChanged called once */
  constructor(
    { path, fd }: Source,
    { stats, forbidsWriters, isMountable }: SourceState,
    onChanged: (failure: Failure) => void,
  ) {
    this.path = path;
    this.fd = fd;
    this.first = stats;
    this.forbidsWriters = forbidsWriters;
    this.isMountable = isMountable;
    this.onChanged = onChanged;
    this.timer = setInterval(() => this.isUnchanged(), INTERVAL_MS);
    this.timer.unref();
  }

  /** Looks now. */
  isUnchanged(): boolean {
    const what = this.change();
    if (what !== null) this.changed(what);
    return !this.isTold;
  }

  /**
   * The block map is made of what was read so far.
   * @returns whether that was one image
   */
  mapped(): boolean {
    const isOne = this.isUnchanged();
    this.isMapped = true;
    return isOne;
  }

  private change(): string | null {
    if (!this.first.isFile()) return this.isMountable ? this.newUse() : null;
    let stats: BigIntStats;
    try {
      stats = fstatSync(this.fd, { bigint: true });
    } catch (error) {
      return `cannot be examined any more: ${(error as Error).message}`;
    }
    if (stats.size !== this.first.size) {
      return `was ${this.first.size} bytes long and is now ${stats.size}`;
    }
    if (stats.mtimeNs !== this.first.mtimeNs) return 'was written to';
    if (this.forbidsWriters && hasWriter(this.fd, this.path)) {
      return 'was opened for writing by another program, which can change it unseen,';
    }
    if (stats.ctimeNs === this.first.ctimeNs) return null;
    if (!this.isOtherwiseChanged(stats)) {
      return 'was written to, and its time of modification set back,';
    }
    return this.isMapped ? null : 'got other rights, owners or names, which may hide a write,';
  }

  private newUse(): string | null {
    const writer = writerOf(this.path);
    return writer === null ? null : `was taken into use (${writer.text})`;
  }

  /**
   * Whether its time of change moved for another reason than a write: new rights, owners, names.
   */
  private isOtherwiseChanged(stats: BigIntStats): boolean {
    const first = this.first;
    if (stats.mode !== first.mode || stats.uid !== first.uid || stats.gid !== first.gid)
      return true;
    if (stats.nlink !== first.nlink) return true;
    const named = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    return named === undefined || named.ino !== stats.ino || named.dev !== stats.dev;
  }

  /** Something else found out. @param what a clause */
  changed(what: string): void {
    if (this.isTold) return;
    this.isTold = true;
    const text =
      `${this.path} ${what} while it was served; start multiserver again to serve ` +
      `it as it is now`;
    this.onChanged(new Failure('source', 'SOURCE_CHANGED', text));
  }

  close(): void {
    clearInterval(this.timer);
  }
}
