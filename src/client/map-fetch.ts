/**
 * Fetches the block map: its root, then the pages that are not all zero. Before the server has made
 * it whole, a client that may hold some of the image fetches the pages that are made already. As
 * the parts come in, the copy is held against them.
 */

import { largestPageLength, rootLength } from '../image/block-map.js';
import {
  BLOCK_HEADER_BYTES,
  blockOf,
  chunkOf,
  Encoding,
  encodedLengthOf,
  encodingOfKind,
  kindByteOf,
  positionOf,
  Space,
  spaceOfKind,
} from '../protocol/block.js';
import { positionsBetween } from '../protocol/position.js';
import { RequestBuilder, type RequestContext } from './block-requests.js';
import type { ChunkStates } from './copy/chunk-states.js';
import { PartialChunk, PayloadCopier } from './copy/partial-chunk.js';
import type { TargetChecks } from './copy/target-checks.js';
import type { TargetWrites } from './copy/target-writes.js';
import type { StreamCounters } from './reports.js';
import { type ClientSealing, sealBytesOf } from './sealing.js';

/** Pages that are fetched at once: a page takes up to 132 kB of memory while it comes. */
const MAX_PAGES = 16;
/** When so few of those that were asked for are still to come, the next ones are asked for. */
const FEW_PAGES = 8;
/** As many as fit one request with some others. */
const MAX_RUNS_PER_PART = 128;
/** Asking again, if nothing comes: then twice as long each time. */
const RETRY_MS = 150;
const MAX_RETRY_MS = 2400;
/** A part that got no block in so many packets more than it has was passed: the rest was lost. */
const PASSED_PACKETS = 64;
/** The root's number among the parts; pages have their own. */
export const MAP_ROOT = -1;

export class MapFetch {
  private readonly parts = new Map<number, PartialChunk>();
  private readonly copier = new PayloadCopier();
  /** The part that was completed last: a page, or `MAP_ROOT`. */
  lastPart = MAP_ROOT;
  /** Parts that became whole, and fit. */
  wholeCount = 0;
  private askDueMs = Number.NEGATIVE_INFINITY;
  private retryMs = RETRY_MS;
  /** How much later, since many clients ask. */
  private delayMs = 0;
  /** One past the last page that was asked for. */
  private askedEnd = 0;
  private readonly sealBytes: number;

  constructor(
    private readonly states: ChunkStates,
    private readonly sealing: ClientSealing | null = null,
  ) {
    this.sealBytes = sealBytesOf(sealing);
  }

  /** When to ask (again); Infinity when nothing is wanted. */
  get dueMs(): number {
    const { map, wantsEarlyPages } = this.states;
    const isWanted = map === null ? wantsEarlyPages : !map.isComplete;
    return isWanted ? this.askDueMs : Number.POSITIVE_INFINITY;
  }

  /** Asks at `dueMs`, without waiting for the retry interval: there is something new to ask for. */
  hurry(dueMs: number): void {
    this.askDueMs = dueMs;
    this.retryMs = RETRY_MS;
  }

  /** @param delayMs how much later than usual to ask again, since many clients do */
  turn(now: number, context: RequestContext, delayMs = 0): Buffer[] {
    this.delayMs = delayMs;
    this.askDueMs = now + this.retryMs + delayMs;
    this.retryMs = Math.min(2 * this.retryMs, MAX_RETRY_MS);
    const packets: Buffer[] = [];
    if (this.dueMs === Number.POSITIVE_INFINITY) return packets;
    const wantsRoot = this.states.map?.hasRoot === false;
    const space = wantsRoot ? Space.mapRoot : Space.mapPage;
    const builder = new RequestBuilder(context, space, packets);
    if (wantsRoot) this.ask(MAP_ROOT, builder, now, context.position);
    else this.askPages(builder, now, context.position);
    builder.finish();
    return packets;
  }

  /** The first pages that are missing, and not more: what is half here needs memory. */
  private askPages(builder: RequestBuilder, now: number, position: number): void {
    let page = this.states.pages.nextMissingPage(0);
    let count = 0;
    for (; page >= 0 && count < MAX_PAGES; count++) {
      this.ask(page, builder, now, position);
      this.askedEnd = Math.max(this.askedEnd, page + 1);
      page = this.states.pages.nextMissingPage(page + 1);
    }
  }

  /** Asks for what lacks of a part, of one that has not begun in one range with those before it. */
  private ask(key: number, builder: RequestBuilder, now: number, position: number): void {
    const chunk = key === MAP_ROOT ? 0 : key;
    const part = this.parts.get(key);
    if (part === undefined) {
      builder.addRange({ first: chunk, count: 1 });
    } else if (isPassed(part, now, position)) {
      builder.addHalf({ chunk, runs: part.missingRuns(MAX_RUNS_PER_PART) });
      part.askedMs = now;
    }
  }

  /**
   * Takes a block packet of a map part, whose lengths agree.
   * @returns whether it completed a part, `lastPart`, and the part fits
   */
  take(bytes: Buffer, offset: number, length: number, blockSize: number, now: number): boolean {
    const kindByte = kindByteOf(bytes, offset);
    const space = spaceOfKind(kindByte);
    const chunk = chunkOf(bytes, offset);
    const encodedLength = encodedLengthOf(bytes, offset);
    if (encodingOfKind(kindByte) !== Encoding.raw) return false;
    if (!this.wants(space, chunk, encodedLength)) return false;
    const key = space === Space.mapRoot ? MAP_ROOT : chunk;
    const part = this.partOf(key, kindByte, encodedLength, blockSize);
    if (part === null) return false;
    part.add(blockOf(bytes, offset), bytes, offset + BLOCK_HEADER_BYTES, offset + length);
    part.lastPosition = positionOf(bytes, offset);
    part.lastMs = now;
    // While parts are coming in, asking again would only repeat them.
    this.retryMs = RETRY_MS;
    this.askDueMs = now + RETRY_MS + this.delayMs;
    if (!part.isComplete) return false;
    this.parts.delete(key);
    this.lastPart = key;
    const { map } = this.states;
    const whole = this.opened(part);
    if (whole === null) return false;
    const isRoot = key === MAP_ROOT;
    const fits = isRoot ? map!.acceptRoot(whole) : this.states.pages.acceptPage(chunk, whole);
    if (fits) this.wholeCount++;
    if (!isRoot && this.isNearEnd()) this.askDueMs = now + this.delayMs;
    return fits;
  }

  /** What a whole part is without its seal; null for one that has none of this session. */
  private opened({ bytes, chunk, kindByte, encodedLength }: PartialChunk): Buffer | null {
    if (this.sealing === null) return bytes;
    const address = { chunk, kindByte, sealedBytes: encodedLength };
    const length = this.sealing.chunks?.open(bytes, address) ?? -1;
    return length < 0 ? null : bytes.subarray(0, length);
  }

  /** Whether a part of this length is still to come. */
  private wants(space: number, chunk: number, encodedLength: number): boolean {
    const { map, geometry, wantsEarlyPages } = this.states;
    if (space === Space.mapRoot) {
      const isWanted = map !== null && !map.hasRoot && chunk === 0;
      return isWanted && encodedLength === rootLength(geometry) + this.sealBytes;
    }
    const isKnown = map === null ? wantsEarlyPages : map.hasRoot;
    if (!isKnown || chunk >= geometry.pageCount) return false;
    return (
      this.states.pages.nextMissingPage(chunk) === chunk &&
      encodedLength > this.sealBytes &&
      encodedLength <= largestPageLength(geometry) + this.sealBytes
    );
  }

  /** Null for a page that comes too early: the memory is for those before it. */
  private partOf(
    key: number,
    kindByte: number,
    encodedLength: number,
    blockSize: number,
  ): PartialChunk | null {
    const found = this.parts.get(key);
    if (found?.encodedLength === encodedLength) return found;
    this.parts.delete(key);
    if (this.parts.size >= MAX_PAGES) {
      const last = Math.max(...this.parts.keys());
      if (last < key) return null;
      this.parts.delete(last);
    }
    const part = new PartialChunk(0, Buffer.allocUnsafe(encodedLength), this.copier);
    part.begin(key === MAP_ROOT ? 0 : key, kindByte, encodedLength, blockSize);
    this.parts.set(key, part);
    return part;
  }

  /** Few of the pages that were asked for are still to come, and others follow them. */
  private isNearEnd(): boolean {
    if (this.states.pages.nextMissingPage(this.askedEnd) < 0) return false;
    let page = this.states.pages.nextMissingPage(0);
    for (let count = 0; page >= 0 && page < this.askedEnd; count++) {
      if (count === FEW_PAGES) return false;
      page = this.states.pages.nextMissingPage(page + 1);
    }
    return true;
  }

  clear(now: number): void {
    this.askedEnd = 0;
    this.parts.clear();
    this.hurry(now);
  }
}

/** Whether the rest of a part was lost: what is still on its way is not asked for again. */
function isPassed(part: PartialChunk, now: number, position: number): boolean {
  if (now - Math.max(part.askedMs, part.lastMs) >= RETRY_MS) return true;
  if (now - part.askedMs < RETRY_MS) return false;
  return positionsBetween(part.lastPosition, position) > part.blockCount + PASSED_PACKETS;
}

/** Learns which image it is, and judges the copy by the parts of its map. */
export class MapVerdicts {
  constructor(
    private readonly states: ChunkStates,
    private readonly writes: TargetWrites,
    private readonly checks: TargetChecks,
    private readonly counters: StreamCounters,
    /** How the image's id begins, in hex, when only one may be taken. */
    private readonly pinnedId: string | null,
  ) {}

  /** Whether `mapId` may name the image that is being copied. */
  agreesWith(mapId: Buffer | null): boolean {
    const { map } = this.states;
    const isOther = mapId !== null && !mapId.toString('hex').startsWith(this.pinnedId ?? '');
    if (isOther) return false;
    // Before its root is in, nothing was proven by the map: anybody may have named it.
    return map === null || !map.hasRoot || mapId === null || map.id.equals(mapId);
  }

  /** @returns whether `mapId` is news, and its map is to be fetched; it must agree */
  learn(mapId: Buffer | null): boolean {
    if (mapId === null || this.states.map?.id.equals(mapId)) return false;
    this.states.beginMap(mapId);
    return true;
  }

  /** A page of the map is in. @returns how many chunks are missing again */
  page(page: number): number {
    const { zeros, free, refuted } = this.states.judgePage(page);
    this.counters.chunksRefused += refuted;
    this.writes.blank('zero', zeros);
    // A target that is only compared keeps what it has there.
    this.writes.blank('free', free);
    this.checks.rewind(this.states.geometry.firstChunkOf(page));
    return refuted;
  }

  /** The root is in, and with it all pages of zeros. @returns how many chunks are missing again */
  root(): number {
    const { map, geometry } = this.states;
    let refuted = 0;
    this.states.adoptEarlyPages();
    for (let page = 0; page < geometry.pageCount; page++) {
      if (map!.hasPage(page)) refuted += this.page(page);
      else this.states.proveWholePage(page);
    }
    return refuted;
  }
}
