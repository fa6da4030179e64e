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
  /** By the payload's place in `#kept`; null until one is copied from there. */
  #views: (Buffer | null)[] = [];

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
    let view = this.#views[place]!;
    if (
      view === null ||
      view.byteOffset !== from.byteOffset + start ||
      view.length !== end - start
    ) {
      view = from.subarray(start, end);
      this.#views[place] = view;
    }
    to.set(view, at);
  }

  #keep(from: Buffer): void {
    this.#kept = from;
    // Made by `fill`, an array becomes one of another kind, for which V8 gives up what copies.
    const views: (Buffer | null)[] = [];
    for (let place = 0; place <= from.length >>> PLACE_BITS; place++) views.push(null);
    this.#views = views;
  }
}
