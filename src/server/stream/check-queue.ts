/**
 * Chunks whose blocks' checks clients want: they hold all of one, and some of it was damaged on its
 * way. Seldom anything waits here.
 */

import { checksOfBlocks, encodeBlockChecks } from '../../protocol/block-checks.js';
import { wirePosition } from '../../protocol/position.js';
import type { CacheEntry } from './chunk-cache.js';

/** Chunks that wait, and chunks that are remembered as told. */
const MAX_CHUNKS = 256;

export class CheckQueue {
  private readonly session: bigint;
  private readonly blockSize: number;
  /** By chunk: next block whose check is to go out. */
  private readonly wanted = new Map<number, number>();
  /** By chunk: the position at which its checks last began to go out. */
  private readonly sent = new Map<number, number>();

  constructor(session: bigint, blockSize: number) {
    this.session = session;
    this.blockSize = blockSize;
  }

  get isEmpty(): boolean {
    return this.wanted.size === 0;
  }

  /**
   * @param asOfPosition what was sent from here on, the client has not seen yet
   * @returns whether they are to be sent, and were not before
   */
  add(chunk: number, asOfPosition: number): boolean {
    if (this.wanted.has(chunk) || this.wanted.size >= MAX_CHUNKS) return false;
    const sentAt = this.sent.get(chunk);
    if (sentAt !== undefined && sentAt >= asOfPosition) return false;
    this.wanted.set(chunk, 0);
    return true;
  }

  chunks(): IterableIterator<number> {
    return this.wanted.keys();
  }

  drop(chunk: number): void {
    this.wanted.delete(chunk);
  }

  /**
   * Writes the next packet of a chunk that waits and is in memory.
   * @param kindByte space, encoding and variant, as blocks of it have them
   * @returns the packet, and whether it was the chunk's last
   */
  write(entry: CacheEntry, kindByte: number, position: number): { bytes: Buffer; isLast: boolean } {
    const { chunk, encodedLength } = entry;
    const first = this.wanted.get(chunk)!;
    if (first === 0) this.noteSent(chunk, position);
    const checks = checksOfBlocks(entry.bytes, encodedLength, this.blockSize, first);
    const next = first + checks.length;
    this.wanted.set(chunk, next);
    const session = this.session;
    const numbers = { position: wirePosition(position), chunk, encodedLength, kindByte, first };
    const isLast = next >= entry.blockCount;
    return { bytes: encodeBlockChecks({ session, ...numbers, checks }), isLast };
  }

  private noteSent(chunk: number, position: number): void {
    this.sent.delete(chunk);
    if (this.sent.size >= MAX_CHUNKS) this.sent.delete(this.sent.keys().next().value!);
    this.sent.set(chunk, position);
  }
}
