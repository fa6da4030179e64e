/**
 * Half-received chunks, in a fixed number of slots. A chunk that can't be finished in time gives
 * its slot up and is asked for again: memory stays bounded whatever is lost.
 */
import { positionsBetween } from '../protocol/position.js';
import { Collector } from './collector.js';
import { PayloadCopier } from './payload-copier.js';

export class Assembly {
  readonly #collectors: Collector[];
  readonly #free: Collector[];
  readonly #open = new Map<number, Collector>();

  constructor(slots: readonly Buffer[]) {
    const copier = new PayloadCopier();
    this.#collectors = slots.map((bytes, slot) => new Collector(slot, bytes, copier));
    this.#free = [...this.#collectors];
  }

  find(chunk: number): Collector | undefined {
    return this.#open.get(chunk);
  }

  /** No slot is free, and most are being stored: waiting for one beats giving a half chunk up. */
  get isExhausted(): boolean {
    return this.#free.length === 0 && this.#open.size < this.#collectors.length / 2;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Slots are running short because stores take their time: better to leave packets where they are. */
  get isCrowded(): boolean {
    const { length } = this.#collectors;
    return this.#free.length < length / 4 && this.#open.size < length / 2;
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /**
   * A collector for `chunk`. Without a free slot the chunk that has waited longest gives up its
   * own; its number is handed to `givenUp`.
   * @returns null when the assembly is exhausted
   */
  open(
    chunk: number,
    kindByte: number,
    encodedLength: number,
    blockSize: number,
    givenUp: (chunk: number) => void,
  ): Collector | null {
    let collector = this.#free.pop();
    if (collector === undefined) {
      const oldest = this.#oldest();
      if (oldest === null) return null;
      this.#open.delete(oldest.chunk);
      givenUp(oldest.chunk);
      collector = oldest;
    }
    collector.begin(chunk, kindByte, encodedLength, blockSize);
    this.#open.set(chunk, collector);
    return collector;
  }

  #oldest(): Collector | null {
    let oldest: Collector | null = null;
    for (const collector of this.#open.values()) {
      if (oldest === null || positionsBetween(collector.lastPosition, oldest.lastPosition) > 0) {
        oldest = collector;
      }
    }
    return oldest;
  }

  /** The chunk is complete: its slot stays in use until `release`. */
  close(collector: Collector): void {
    this.#open.delete(collector.chunk);
  }

  /** What was made of the slot's bytes is not the right chunk: some of them came damaged. */
  doubt(slot: number): void {
    const collector = this.#collectors[slot]!;
    collector.doubt();
    this.#open.set(collector.chunk, collector);
  }

  /** The slot's bytes are stored, or of no use. */
  release(slot: number): void {
    this.#free.push(this.#collectors[slot]!);
  }

  /** Drops a half chunk: other blocks of it would not fit those already here. */
  abandon(collector: Collector): void {
    this.#open.delete(collector.chunk);
    this.#free.push(collector);
  }

  /** Drops all half chunks. */
  clear(): void {
    for (const collector of [...this.#open.values()]) this.abandon(collector);
  }

  halves(): IterableIterator<Collector> {
    return this.#open.values();
  }
}
