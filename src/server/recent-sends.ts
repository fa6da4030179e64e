/**
 * What was sent lately, and at which position: a ring of fixed size.
 *
 * A client's request describes the world as of the last packet it had seen. Whatever was sent
 * after that is still on its way to the client, and sending it again would be waste.
 */
export class RecentSends {
  readonly #chunks: Uint32Array;
  /** Counted, not as on the wire: else what is old enough would be new again. */
  readonly #positions: Float64Array;
  #next = 0;
  #count = 0;

  constructor(capacity: number) {
    this.#chunks = new Uint32Array(capacity);
    this.#positions = new Float64Array(capacity);
  }

  /** @param position where the chunk's first packet went */
  add(chunk: number, position: number): void {
    this.#chunks[this.#next] = chunk;
    this.#positions[this.#next] = position;
    this.#next = (this.#next + 1) % this.#chunks.length;
    if (this.#count < this.#chunks.length) this.#count++;
  }

  /** Calls `visit` for each chunk sent at or after `position`, newest first. */
  forEachSince(position: number, visit: (chunk: number) => void): void {
    const capacity = this.#chunks.length;
    for (let age = 1; age <= this.#count; age++) {
      const at = (this.#next - age + capacity) % capacity;
      if (this.#positions[at]! < position) return;
      visit(this.#chunks[at]!);
    }
  }
}
