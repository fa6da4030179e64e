/** Packets kept while all chunk memory waits for the disk. */

const MOST_BYTES = 24 * 1024 * 1024;

interface Kept {
  bytes: Buffer;
  isFromServer: boolean;
}

export class PacketStash {
  readonly #kept: Kept[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#kept.length === 0;
  }

  /** Copies the packets in `bytes[start, end)`; drops them when too much is kept already. */
  keep(bytes: Buffer, start: number, end: number, isFromServer: boolean): void {
    if (this.#bytes + end - start > MOST_BYTES) return;
    this.#kept.push({ bytes: Buffer.from(bytes.subarray(start, end)), isFromServer });
    this.#bytes += end - start;
  }

  /** The packets kept longest; there must be some. */
  take(): Kept {
    const kept = this.#kept.shift()!;
    this.#bytes -= kept.bytes.length;
    return kept;
  }
}
