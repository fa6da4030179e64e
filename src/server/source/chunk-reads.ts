/**
 * Which chunk is read next, and how: for the stream, or to learn the block map beside it. And
 * what follows from what was read.
 */

import type { BlockMapBuilder } from '../../image/block-map.js';
import { Encoding } from '../../protocol/block.js';
import type { ReadOrder, ReadOutcome } from '../outputs.js';
import type { SealAdmission } from '../stream/seal-admission.js';
import type { Stream } from '../stream/stream.js';
import type { Compression } from './compression.js';
import { Preparation, type PreparationConfig } from './preparation.js';
import { type UnreadableNotice, UnreadableSource } from './unreadable-source.js';

/** So many chunks of the pass underway at once, and the network must be waiting for them. */
const MANY_UNDERWAY = 8;
/** The pass reads some chunks at once, and then none for a while. */
const PAUSE_MS = 50;

export class ChunkReads {
  private readonly map: BlockMapBuilder;
  private readonly stream: Stream;
  private readonly compression: Compression;
  private readonly preparation: Preparation;
  private readonly unreadable: UnreadableSource;
  /** Reads for the stream that have not ended. */
  private underway = 0;
  private lastMs = Number.NEGATIVE_INFINITY;
  private readonly admission: SealAdmission | null;
  /** How the source was found to differ from the map; null for not at all. */
  private change: string | null = null;

  constructor(
    config: PreparationConfig,
    stream: Stream,
    compression: Compression,
    admission: SealAdmission | null = null,
  ) {
    this.admission = admission;
    this.map = config.map;
    this.stream = stream;
    this.compression = compression;
    this.preparation = new Preparation(config);
    this.unreadable = new UnreadableSource(config.map.geometry);
  }

  /** All that can be known of the image without reading it is in the map: the rest may be read. */
  beginPreparing(): void {
    this.preparation.begin();
  }

  /** When there is something to do without anything being handed in. */
  get dueMs(): number {
    return Math.min(this.preparation.dueMs, this.unreadable.dueMs);
  }

  /** The next chunk to read, or null for now. */
  poll(now: number): ReadOrder | null {
    for (let order = this.stream.pollRead(); order !== null; order = this.stream.pollRead()) {
      const { chunk, slot, mends } = order;
      if (this.unreadable.mayTry(chunk, now)) {
        this.underway++;
        return { kind: 'read', chunk, slot, ...this.compression.choose(chunk, mends) };
      }
      this.stream.handleRead(slot, { kind: 'failed', reason: 'unreadable' });
    }
    const isStreaming = this.underway > 0 || now - this.lastMs < PAUSE_MS;
    const chunk = this.preparation.poll(now, isStreaming);
    return chunk < 0
      ? null
      : { kind: 'read', chunk, slot: -1, level: 0, isRepeat: false, isPlain: false };
  }

  /** Takes what came of an order. */
  handle(order: ReadOrder, outcome: ReadOutcome, now: number): void {
    const { chunk, slot } = order;
    if (outcome.kind === 'failed') this.unreadable.failed(chunk, outcome.reason, now);
    else this.unreadable.recovered(chunk);
    const agrees = this.preparation.learn(chunk, outcome);
    if (!agrees) this.noteChange(chunk);
    if (slot < 0) {
      this.preparation.ended();
      return;
    }
    const isBehind = this.underway >= MANY_UNDERWAY;
    this.underway--;
    this.lastMs = now;
    const lengthBytes = this.map.geometry.chunkLength(chunk);
    this.compression.noteRead(chunk, lengthBytes, order, outcome, isBehind, now);
    const mayLeave = agrees && this.mayLeave(chunk, slot, outcome);
    const reason = { kind: 'failed', reason: 'changed' } as const;
    this.stream.handleRead(slot, mayLeave ? outcome : reason, order.isPlain);
  }

  /** With a key: whether its seal may be sent. A chunk that came out otherwise goes raw. */
  private mayLeave(chunk: number, slot: number, outcome: ReadOutcome): boolean {
    if (this.admission === null || outcome.kind !== 'data') return true;
    if (this.admission.admits(chunk, slot, outcome)) return true;
    if (outcome.encoding === Encoding.raw) this.noteChange(chunk);
    else this.compression.forceRaw(chunk);
    return false;
  }

  private noteChange(chunk: number): void {
    const { geometry } = this.map;
    const firstByte = geometry.chunkOffset(chunk);
    const lastByte = firstByte + geometry.chunkLength(chunk) - 1;
    this.change ??= `has changed, somewhere in bytes ${firstByte} to ${lastByte},`;
  }

  /** How the source differs from the map, once; null when nothing new is known. */
  takeChange(): string | null {
    const change = this.change;
    this.change = null;
    return change;
  }

  /** Whether all of the map is known; true once. */
  takeComplete(): boolean {
    return this.preparation.takeComplete();
  }

  isUnreadable(chunk: number): boolean {
    return this.unreadable.has(chunk);
  }

  /** What the clients are to be told of places that cannot be read. */
  pollNotices(now: number): UnreadableNotice[] {
    return this.unreadable.poll(now);
  }
}
