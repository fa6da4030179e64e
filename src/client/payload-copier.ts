/**
 * Copies payloads out of received packets. Copying needs a view of the payload, and making one for
 * each packet costs half as much as the copying does. Memory that packets are received into again
 * and again has them at the same places, so views of it are kept.
 */

/** No two packets of an Ethernet begin as close to each other. */
const PLACE_BITS = 10;

export class PayloadCopier {
  #from: Buffer | null = null;
  /** By the payload's place in `#from`; null until that comes a second time. */
  #views: (Buffer | null)[] | null = null;

  /** Copies `from[start, end)` to `to`, from `at` on. */
  copy(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
    if (from !== this.#from) {
      this.#from = from;
      this.#views = null;
      from.copy(to, at, start, end);
      return;
    }
    // Made by `fill`, an array becomes one of another kind, for which V8 gives up what copies.
    this.#views ??= Array.from({ length: (from.length >>> PLACE_BITS) + 1 }, () => null);
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
}
