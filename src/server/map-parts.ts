/** Parts of the block map that clients ask for: its root and its pages, sent block by block. */
import type { BlockMap } from '../image/block-map.js';
import { blockCountOf, Encoding, Space } from '../protocol/block.js';
import type { BlockRequest } from '../protocol/from-client.js';
import { PendingSet } from './pending.js';
import type { BlockSource, Train } from './train.js';

type MapSpace = typeof Space.mapPage | typeof Space.mapRoot;

interface MapPart {
  space: MapSpace;
  source: BlockSource;
  /** Next block to send. */
  block: number;
}

export class MapParts {
  readonly #blockSize: number;
  readonly #root = new PendingSet(1);
  readonly #pages: PendingSet;
  #map: BlockMap | null = null;
  /** The part that is being sent. */
  #part: MapPart | null = null;
  /** The root is to go out unasked: clients that wait for the map will all want it. */
  #offersRoot = false;

  constructor(pageCount: number, blockSize: number) {
    this.#blockSize = blockSize;
    this.#pages = new PendingSet(pageCount);
  }

  /** @param isAwaited clients wait for it */
  setMap(map: BlockMap, isAwaited: boolean): void {
    this.#map = map;
    this.#offersRoot = isAwaited;
  }

  /** Whether `fillOffer` has something to send. */
  get hasOffer(): boolean {
    return this.#offersRoot;
  }

  /** Null while the map is prepared. */
  get mapId(): Buffer | null {
    return this.#map?.id ?? null;
  }

  clear(): void {
    this.#part = null;
    this.#offersRoot = false;
    this.#root.clear();
    this.#pages.clear();
  }

  get isEmpty(): boolean {
    return this.#part === null && this.#root.count === 0 && this.#pages.count === 0;
  }

  /**
   * Merges a request for parts into what is pending. A part is sent whole, whatever lacks of it.
   * @returns how many parts it adds
   */
  ask({ space, ranges, halves, asOfPosition }: BlockRequest): number {
    if (this.#map === null) return 0;
    const runs = halves.map((half) => ({ first: half.chunk, count: 1 }));
    const pending = space === Space.mapRoot ? this.#root : this.#pages;
    return pending.add([...ranges, ...runs], asOfPosition, []);
  }

  /** Packs blocks of one part, if any is pending. @returns the send position after them */
  fill(train: Train, position: number): number {
    this.#part ??= this.#next(position);
    const part = this.#part;
    if (part === null) return position;
    let next = position;
    while (part.block < part.source.blockCount && train.room > 0) {
      next = train.add(part.space, part.source, part.block++, next);
    }
    if (part.block === part.source.blockCount) this.#part = null;
    return next;
  }

  /** As `fill`, what nobody asked for yet, but is about to: while `hasOffer`. @returns the send position after it */
  fillOffer(train: Train, position: number): number {
    this.#root.add([{ first: 0, count: 1 }], position, []);
    return this.fill(train, position);
  }

  /** The root goes first: without it no page can be checked. */
  #next(position: number): MapPart | null {
    if (this.#map === null) return null;
    for (const space of [Space.mapRoot, Space.mapPage] as const) {
      const pending = space === Space.mapRoot ? this.#root : this.#pages;
      for (let chunk = pending.take(); chunk >= 0; chunk = pending.take()) {
        const bytes = space === Space.mapRoot ? this.#map.root : this.#map.page(chunk);
        if (bytes === null) continue;
        if (space === Space.mapRoot) this.#offersRoot = false;
        pending.noteSent(chunk, position);
        return { space, source: this.#sourceOf(chunk, bytes), block: 0 };
      }
    }
    return null;
  }

  #sourceOf(chunk: number, bytes: Buffer): BlockSource {
    const encodedLength = bytes.length;
    const blockCount = blockCountOf(encodedLength, this.#blockSize);
    return { chunk, bytes, encodedLength, blockCount, encoding: Encoding.raw, variant: 0 };
  }
}
