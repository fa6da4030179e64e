/** Packets that came while there was no room for what is in them. */

interface Stashed {
  bytes: Buffer;
  isFromServer: boolean;
}

/** Copies of packets that came while all chunk memory waited for the disk. */
export class PacketStash {
  private readonly stashed: Stashed[] = [];
  private bytes = 0;
  /** Memory for packets; what comes beyond it is dropped. */
  maxBytes = 0;

  get isEmpty(): boolean {
    return this.stashed.length === 0;
  }

  /** Copies the packets in `bytes[start, end)`; drops them when too much is here already. */
  put(bytes: Buffer, start: number, end: number, isFromServer: boolean): void {
    if (this.bytes + end - start > this.maxBytes) return;
    this.stashed.push({ bytes: Buffer.from(bytes.subarray(start, end)), isFromServer });
    this.bytes += end - start;
  }

  /** The packets that are here longest; there must be some. */
  take(): Stashed {
    const first = this.stashed.shift()!;
    this.bytes -= first.bytes.length;
    return first;
  }
}
