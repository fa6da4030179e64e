/**
 * Copies payloads out of received packets. Copying needs a view of the payload, and making one for
 * each packet costs half as much as the copying does. Memory that packets are received into again
 * and again has them at the same places, so views of it are kept.
 */

/** No two packets of an Ethernet begin as close to each other. */
const PLACE_BITS = 10;

export class PayloadCopier {
  /** Where the payload copied last was. */
  #last: Buffer | null = null;
  /** Memory of which views are kept. A buffer that holds a single packet never becomes it. */
  #kept: Buffer | null = null;
  /** By place: the view, and what of `#kept` it shows. To ask the view itself takes longer. */
  #views: Buffer[] = [];
  #starts = new Int32Array(0);
  #ends = new Int32Array(0);

  /** Copies `from[start, end)` to `to`, from `at` on. */
  copy(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
    if (from !== this.#kept) {
      if (from !== this.#last) {
        this.#last = from;
        from.copy(to, at, start, end);
        return;
      }
      this.#keep(from);
    }
    const place = start >>> PLACE_BITS;
    if (this.#starts[place] !== start || this.#ends[place] !== end) {
      this.#views[place] = from.subarray(start, end);
      this.#starts[place] = start;
      this.#ends[place] = end;
    }
    to.set(this.#views[place]!, at);
  }

  #keep(from: Buffer): void {
    const places = (from.length >>> PLACE_BITS) + 1;
    this.#kept = from;
    this.#starts = new Int32Array(places).fill(-1);
    this.#ends = new Int32Array(places);
    // Made by `fill`, an array becomes one of another kind, for which V8 gives up what copies.
    this.#views = [];
    for (let place = 0; place < places; place++) this.#views.push(from);
  }
}
