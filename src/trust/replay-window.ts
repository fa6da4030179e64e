/**
 * Which of a sender's packets came already: a sliding window over their counts, as in IPsec (RFC
 * 4303, 3.4.3). A packet is taken once; one that is more than 64 behind the latest is not taken.
 * Counts have 48 bits and wrap; what lies less than half of that ahead is later.
 */

const COUNTS = 2 ** 48;
export const WINDOW_PACKETS = 64;

export class ReplayWindow {
  /** The sender that it is about; -1 before the first packet. */
  private sender = -1;
  private latest = 0;
  /** The latest count is bit 0 of `recent`; those before it follow, 32 of them to a word. */
  private recent = 0;
  private older = 0;

  /** Of this sender, all packets before the one with this count are old. */
  begin(sender: number, nextCount: number): void {
    this.sender = sender;
    this.latest = (nextCount + COUNTS - 1) % COUNTS;
    this.recent = -1;
    this.older = -1;
  }

  /** Whether a packet may be new: asked before it is opened, for all that is in the open. */
  isNew(sender: number, count: number): boolean {
    if (this.sender < 0) return true;
    if (sender !== this.sender) return false;
    const behind = stepsBetween(count, this.latest);
    if (behind < 0) return true;
    if (behind >= WINDOW_PACKETS) return false;
    const word = behind < 32 ? this.recent : this.older;
    return ((word >>> (behind & 31)) & 1) === 0;
  }

  /**
   * Takes a packet that was opened, and is what it says. The first one decides on the sender.
   * @returns false for one that came before, is too old, or has another sender
   */
  take(sender: number, count: number): boolean {
    if (!this.isNew(sender, count)) return false;
    if (this.sender < 0) {
      this.sender = sender;
      this.latest = count;
    }
    const behind = stepsBetween(count, this.latest);
    if (behind < 0) this.slide(-behind, count);
    if (behind < 32) this.recent |= 1 << Math.max(behind, 0);
    else this.older |= 1 << (behind & 31);
    return true;
  }

  private slide(steps: number, count: number): void {
    this.latest = count;
    if (steps >= WINDOW_PACKETS) {
      this.recent = 0;
      this.older = 0;
    } else if (steps >= 32) {
      this.older = this.recent << (steps - 32);
      this.recent = 0;
    } else {
      this.older = (this.older << steps) | (this.recent >>> (32 - steps));
      this.recent <<= steps;
    }
  }
}

/** Counts from `from` to `to`; negative when `to` comes before. */
function stepsBetween(from: number, to: number): number {
  const steps = (to - from + COUNTS) % COUNTS;
  return steps < COUNTS / 2 ? steps : steps - COUNTS;
}
