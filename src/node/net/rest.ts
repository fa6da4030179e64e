/**
 * Lets packets gather: after a turn of the event loop that emptied the socket, the thread sleeps for
 * a moment. Being woken for every single packet costs both this machine and, where they share
 * cores, the sender more than all the rest of receiving it.
 */

/** Packets that Node takes in one turn of its event loop when there are enough. */
const PACKETS_PER_TURN = 32;
/** How long packets may gather, unless the buffer could be full before: at this speed. */
const MOST_REST_MS = 2;
const BYTES_PER_MS = 100_000;

export class Rest {
  readonly #onTurn: (wasEmptied: boolean) => void;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  readonly #restMs: number;
  #count = 0;
  #isEmpty: boolean | undefined;

  /** @param onTurn called at the end of each turn in which packets came */
  constructor(receiveBufferBytes: number, onTurn: (wasEmptied: boolean) => void) {
    this.#onTurn = onTurn;
    this.#restMs = Math.min(MOST_REST_MS, receiveBufferBytes / 2 / BYTES_PER_MS);
  }

  /** An event came. @param isEmpty whether the socket is after it, where that is known */
  note(isEmpty: boolean | undefined): void {
    this.#isEmpty = isEmpty;
    if (this.#count++ === 0) setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    const wasEmptied = this.#isEmpty ?? this.#count < PACKETS_PER_TURN;
    this.#count = 0;
    this.#onTurn(wasEmptied);
    if (wasEmptied) Atomics.wait(this.#cell, 0, 0, this.#restMs);
  };
}
