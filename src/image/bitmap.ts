/**
 * A set of small integers, one bit each. Works a 32-bit word at a time and allocates nothing
 * after it is made: the sets of chunks on both sides are walked for every packet.
 */

const ALL = 0xffff_ffff;

/**
 * Sees one range. Returning false stops the walk; anything else goes on. It may change the
 * bits it was just shown: the walk reads on behind them.
 */
export type RangeVisitor = (first: number, count: number) => unknown;

export class Bitmap {
  readonly length: number;
  // Bits past `length` stay 0, so counting and searching need no special last word.
  private readonly words: Uint32Array;
  private setCount = 0;

  /** @param length how many bits, all clear: 0 to 2**31 - 1 */
  constructor(length: number) {
    if (!Number.isInteger(length) || length < 0 || length > 0x7fff_ffff) {
      throw new RangeError(`a bitmap of ${length} bits`);
    }
    this.length = length;
    this.words = new Uint32Array(Math.ceil(length / 32));
  }

  /** How many bits are set. Kept up to date, so it costs nothing. */
  get count(): number {
    return this.setCount;
  }

  get isFull(): boolean {
    return this.setCount === this.length;
  }

  get isEmpty(): boolean {
    return this.setCount === 0;
  }

  /**
   * @throws RangeError outside the bitmap, as all methods here: numbers from the network are
   * checked before.
   */
  has(index: number): boolean {
    this.check(index);
    return ((this.words[index >>> 5]! >>> (index & 31)) & 1) === 1;
  }

  /** @returns true if the bit was clear */
  set(index: number): boolean {
    this.check(index);
    const at = index >>> 5;
    const word = this.words[at]!;
    const bit = 1 << (index & 31);
    if ((word & bit) !== 0) return false;
    this.words[at] = word | bit;
    this.setCount += 1;
    return true;
  }

  /** @returns true if the bit was set */
  clear(index: number): boolean {
    this.check(index);
    const at = index >>> 5;
    const word = this.words[at]!;
    const bit = 1 << (index & 31);
    if ((word & bit) === 0) return false;
    this.words[at] = word & ~bit;
    this.setCount -= 1;
    return true;
  }

  /** @returns how many bits were clear before */
  setRange(first: number, count: number): number {
    this.checkRange(first, count);
    const before = this.setCount;
    const words = this.words;
    for (let from = first, end = first + count; from < end; from = (from | 31) + 1) {
      const at = from >>> 5;
      const word = words[at]!;
      const added = rangeMask(from, end) & ~word;
      if (added !== 0) {
        words[at] = word | added;
        this.setCount += countBits(added);
      }
    }
    return this.setCount - before;
  }

  /** @returns how many bits were set before */
  clearRange(first: number, count: number): number {
    this.checkRange(first, count);
    const before = this.setCount;
    const words = this.words;
    for (let from = first, end = first + count; from < end; from = (from | 31) + 1) {
      const at = from >>> 5;
      const word = words[at]!;
      const removed = rangeMask(from, end) & word;
      if (removed !== 0) {
        words[at] = word & ~removed;
        this.setCount -= countBits(removed);
      }
    }
    return before - this.setCount;
  }

  /** How many bits of the range are set. */
  countRange(first: number, count: number): number {
    this.checkRange(first, count);
    let sum = 0;
    for (let from = first, end = first + count; from < end; from = (from | 31) + 1) {
      const word = this.words[from >>> 5]!;
      if (word !== 0) sum += countBits(rangeMask(from, end) & word);
    }
    return sum;
  }

  /**
   * Writes bits `[first, first + count)` as bytes, the least significant bit of a byte first.
   * @param first a multiple of 32
   * @param to with room for whole 32-bit words
   */
  writeRange(first: number, count: number, to: Buffer): void {
    this.checkRange(first, count);
    if ((first & 31) !== 0) throw new RangeError(`bits from ${first}, within a word`);
    const end = first + count;
    for (let from = first; from < end; from += 32) {
      const word = this.words[from >>> 5]! & rangeMask(from, end);
      to.writeUInt32LE(word >>> 0, (from - first) >>> 3);
    }
  }

  /** The first set bit at or after `from`, or -1. `from` may be at or past the end. */
  nextSet(from: number): number {
    return this.next(from, 0);
  }

  /** The first clear bit at or after `from`, or -1. `from` may be at or past the end. */
  nextClear(from: number): number {
    const found = this.next(from, ALL);
    // The unused bits of the last word look clear.
    return found < this.length ? found : -1;
  }

  /** Shows every run of clear bits from `from` on, in order. */
  forEachClearRange(from: number, visitor: RangeVisitor): void {
    let first = this.nextClear(from);
    while (first !== -1) {
      const next = this.nextSet(first);
      const end = next === -1 ? this.length : next;
      if (visitor(first, end - first) === false) return;
      first = this.nextClear(end);
    }
  }

  /** Shows every run of set bits from `from` on, in order. */
  forEachSetRange(from: number, visitor: RangeVisitor): void {
    let first = this.nextSet(from);
    while (first !== -1) {
      const next = this.nextClear(first);
      const end = next === -1 ? this.length : next;
      if (visitor(first, end - first) === false) return;
      first = this.nextSet(end);
    }
  }

  /** The first set bit of (word XOR flip) at or after `from`; -1 where there is no more. */
  private next(from: number, flip: number): number {
    if (!(from >= 0)) throw new RangeError(`search from ${from}`);
    if (from >= this.length) return -1;
    const words = this.words;
    let at = from >>> 5;
    let word = (words[at]! ^ flip) & (ALL << (from & 31));
    while (word === 0) {
      at += 1;
      if (at === words.length) return -1;
      word = words[at]! ^ flip;
    }
    return at * 32 + 31 - Math.clz32(word & -word);
  }

  private check(index: number): void {
    // The shift also turns away fractions and NaN.
    if (index >>> 0 !== index || index >= this.length) {
      throw new RangeError(`bit ${index} of ${this.length}`);
    }
  }

  private checkRange(first: number, count: number): void {
    if (first >>> 0 !== first || count >>> 0 !== count || first + count > this.length) {
      throw new RangeError(`bits ${first}+${count} of ${this.length}`);
    }
  }
}

/** The bits of the word that holds `from`, from there to `end` (not included) or its last. */
function rangeMask(from: number, end: number): number {
  const mask = ALL << (from & 31);
  return end - from > 31 - (from & 31) ? mask : mask & (ALL >>> (32 - (end & 31)));
}

/** How many bits of a 32-bit word are set. */
export function countBits(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
