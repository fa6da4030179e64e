/**
 * Finds the compression level that moves the most image bytes, by watching: while reading and
 * compressing keep ahead of the network, compression is free and saves time; where the network
 * waits for them, a lower level is tried, and kept only if it moves more. What is best changes
 * with the data, so it is tried again now and then, less and less often.
 */

const LEVELS = [0, 1, 3] as const;
/** Long enough for the rate to find itself anew, short enough to be a cheap try. */
const WINDOW_MS = 400;
const MIN_READS = 32;
/** Chunks still underway with the old level after a change. */
const SETTLE_READS = 32;
/** A gap like this means that nothing was wanted: no measure of anything. */
const IDLE_MS = 100;
/** The share of reads that find the network waiting: above, the cores are the bottleneck. */
const BEHIND_SHARE = 0.6;
const AHEAD_SHARE = 0.2;
/** Without so much that shrinks there is nothing to learn about levels. */
const SHRUNK_SHARE = 0.25;
const MIN_GAIN = 1.05;
/**
 * Raw chunks are tried only after compressing has held the network back for so long: they are twice
 * as many bytes or more, on a network that others may use, and a short copy is over before the
 * trial pays. Longer, where the network's speed is not known.
 */
const BEFORE_RAW_MS = 1500;
const BEFORE_RAW_UNKNOWN_MS = 10_000;
/** Share of a link's speed that payloads can have. */
const LINK_SHARE = 0.95;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 60_000;

interface ReadNote {
  lengthBytes: number;
  /** The network waits for chunks: most of what was ordered is not ready. */
  isBehind: boolean;
  hasShrunk: boolean;
}

export class AutoLevel {
  private readonly linkBytesPerMs: number | null;
  private index = LEVELS.length - 1;
  /** What was kept before the running trial, and the bytes per ms it moved. */
  private trial: { index: number; bytesPerMs: number } | null = null;
  /** The step that proved itself last: 1, -1, or 0 for none yet. */
  private keptStep = 0;
  private retryMs = FIRST_RETRY_MS;
  private nextTrialMs = Number.NEGATIVE_INFINITY;
  private behindMs = 0;
  private unsettled = 0;
  private lastMs = Number.NEGATIVE_INFINITY;
  private startMs = Number.NEGATIVE_INFINITY;
  private bytes = 0;
  private reads = 0;
  private behind = 0;
  private shrunk = 0;

  /** @param linkBytesPerMs what the interface carries; null when unknown */
  constructor(linkBytesPerMs: number | null) {
    this.linkBytesPerMs = linkBytesPerMs;
  }

  /** For the next chunk: 0 for none. */
  get level(): number {
    return LEVELS[this.index]!;
  }

  /** Whether `level` is only being tried. */
  get isTrying(): boolean {
    return this.trial !== null;
  }

  /** Takes note of a chunk of the pass that was read at `now`. */
  note(read: ReadNote, now: number): void {
    if (now - this.lastMs > IDLE_MS) this.begin(now);
    this.lastMs = now;
    if (this.unsettled > 0) {
      if (--this.unsettled === 0) this.begin(now);
      return;
    }
    this.bytes += read.lengthBytes;
    this.reads++;
    if (read.isBehind) this.behind++;
    if (read.hasShrunk) this.shrunk++;
    if (now - this.startMs >= WINDOW_MS && this.reads >= MIN_READS) this.judge(now);
  }

  private begin(now: number): void {
    this.startMs = now;
    this.bytes = 0;
    this.reads = 0;
    this.behind = 0;
    this.shrunk = 0;
  }

  private judge(now: number): void {
    const elapsedMs = now - this.startMs;
    const bytesPerMs = this.bytes / elapsedMs;
    const behindShare = this.behind / this.reads;
    const shrunkShare = this.shrunk / this.reads;
    this.begin(now);
    if (this.trial !== null) {
      this.endTrial(this.trial, bytesPerMs, now);
      return;
    }
    const isBehind = behindShare >= BEHIND_SHARE;
    if (isBehind && this.level > 0) this.behindMs += elapsedMs;
    if (now < this.nextTrialMs) return;
    if (this.level > 0 && shrunkShare < SHRUNK_SHARE) return;
    if (isBehind && this.index > 0) {
      if (this.index > 1 || this.mayBeFasterRaw(bytesPerMs)) this.try(-1, bytesPerMs);
    } else if (behindShare <= AHEAD_SHARE && this.index < LEVELS.length - 1) {
      this.try(1, bytesPerMs);
    }
  }

  private mayBeFasterRaw(bytesPerMs: number): boolean {
    if (this.linkBytesPerMs === null) return this.behindMs >= BEFORE_RAW_UNKNOWN_MS;
    if (this.behindMs < BEFORE_RAW_MS) return false;
    return this.linkBytesPerMs * LINK_SHARE >= bytesPerMs * MIN_GAIN;
  }

  private try(step: 1 | -1, bytesPerMs: number): void {
    this.trial = { index: this.index, bytesPerMs };
    this.index += step;
    this.unsettled = SETTLE_READS;
  }

  private endTrial(
    trial: { index: number; bytesPerMs: number },
    bytesPerMs: number,
    now: number,
  ): void {
    this.trial = null;
    const step = this.index - trial.index;
    const isBetter = bytesPerMs >= trial.bytesPerMs * MIN_GAIN;
    if (isBetter && step !== -this.keptStep) {
      this.keptStep = step;
      this.retryMs = FIRST_RETRY_MS;
      return;
    }
    if (isBetter) {
      // Back where it came from: the two are much alike, or the world is unsteady.
      this.keptStep = step;
    } else {
      this.index = trial.index;
      this.unsettled = SETTLE_READS;
    }
    this.nextTrialMs = now + this.retryMs;
    this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
  }
}
