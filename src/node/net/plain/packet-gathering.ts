/**
 * Lets packets gather: after a turn of the event loop that emptied the socket, the thread sleeps
 * for a moment.
 *
 * Why: being woken for every single packet costs both this machine and, where they share cores, the
 * sender more than all the rest of receiving it. Nothing else of the process runs meanwhile, so
 * only a run that owns its process does it. May be deleted, with the receiver that uses it, once
 * Node takes many datagrams at a time.
 */

/** Packets that Node takes in one turn of its event loop when there are enough. */
const PACKETS_PER_TURN = 32;
/** How long packets may gather, unless the buffer could be full before: at this speed. */
const MAX_SLEEP_MS = 2;
const BYTES_PER_MS = 100_000;

/** @param receiveBufferBytes which must not overflow meanwhile */
export function gatheringMsFor(receiveBufferBytes: number): number {
  return Math.min(MAX_SLEEP_MS, receiveBufferBytes / 2 / BYTES_PER_MS);
}

export class PacketGathering {
  private readonly cell = new Int32Array(new SharedArrayBuffer(4));
  private count = 0;
  private isEmpty: boolean | undefined;

  /**
   * @param sleepMs how long the thread may sleep just now; 0 for not at all
   * @param onTurn called at the end of each turn in which packets came
   */
  constructor(
    private readonly sleepMs: () => number,
    private readonly onTurn: (wasEmptied: boolean) => void,
  ) {}

  /** An event came. @param isEmpty whether the socket is after it, where that is known */
  note(isEmpty: boolean | undefined): void {
    this.isEmpty = isEmpty;
    if (this.count++ === 0) setImmediate(this.endTurn);
  }

  private readonly endTurn = (): void => {
    const wasEmptied = this.isEmpty ?? this.count < PACKETS_PER_TURN;
    this.count = 0;
    this.onTurn(wasEmptied);
    const sleepMs = wasEmptied ? this.sleepMs() : 0;
    if (sleepMs > 0) Atomics.wait(this.cell, 0, 0, sleepMs);
  };
}
