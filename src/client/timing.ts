/**
 * When things are sent: spread over the clients, along with packets that come anyway, and when
 * nothing was heard for long.
 */

/** Request windows over which all clients ask a server whether it still is what it was. */
const REJOIN_WINDOWS = 1.5;
const PARTING_WINDOWS = 0.25;
/** While many join, requests wait for a part of so much of the time that they have for it. */
const JOIN_SHARE = 0.25;
/** So few clients that their window is no longer may all send their first request at once. */
const FREE_WINDOW_MS = 25;

/**
 * Over how long this client spreads what it sends. The server tells windows that grow with the
 * number of its clients: so that they are no louder together, each of them waits.
 */
export class Spread {
  /** The request window that the server told last. */
  windowMs = 0;
  private toldJoinMs = 0;
  private joinToldMs = Number.NEGATIVE_INFINITY;
  private readonly random: () => number;

  /** @param random numbers in [0, 1) */
  constructor(random: () => number) {
    this.random = random;
  }

  /** A part of a window that may grow yet, in [0, 1). */
  share(): number {
    return this.random();
  }

  /** How long to wait with a request; in ms. */
  delayMs(): number {
    return this.random() * Math.max(this.windowMs, JOIN_SHARE * this.toldJoinMs);
  }

  /** How long to wait with the first request: as few clients as may do not wait at all; in ms. */
  firstDelayMs(): number {
    return this.random() * Math.max(this.windowMs - FREE_WINDOW_MS, JOIN_SHARE * this.toldJoinMs);
  }

  /** How long to wait with a report of the end: by then nobody asks any more; in ms. */
  partingDelayMs(): number {
    return this.random() * PARTING_WINDOWS * this.windowMs;
  }

  /** A server told over how long clients are to join. */
  tellJoin(joinMs: number, now: number): void {
    // A server that was started again does not know yet how many wait for it.
    if (joinMs < this.toldJoinMs && now - this.joinToldMs < this.toldJoinMs) return;
    this.toldJoinMs = joinMs;
    this.joinToldMs = now;
  }

  /** Over how long clients join; in ms. */
  get joinMs(): number {
    return this.toldJoinMs;
  }

  /** Over how long clients ask their server anew, that is silent or was started again; in ms. */
  get rejoinMs(): number {
    return Math.max(this.toldJoinMs, REJOIN_WINDOWS * this.windowMs);
  }
}

/**
 * Some deadlines are not worth waking the thread for while packets wake it.
 * Packets came at `now`: what would be due in less than `earlyMs` is done along with them.
 * @returns the deadline from now on; Infinity stays that
 */
export function dueWithPackets(dueMs: number, now: number, earlyMs: number): number {
  return dueMs < now + earlyMs ? Math.min(dueMs, now) : dueMs;
}

/** Packets of an unknown session cause one map request per this time. */
const FOREIGN_ASK_MS = 200;
/** A server not heard of for this long may have moved to another address. */
const FORSAKEN_MS = 10_000;
/** Nothing waits longer for its turn. */
const MAX_TURN_MS = 1_000;
/** A turn that comes so late says that the machine stood still, or wrote to a slow disk. */
const LATE_MS = 100;

/**
 * How long nothing was heard: when the channel counts as quiet. And for how long there was no
 * progress: when to give up. Time in which this machine itself stood still counts for nothing.
 */
export class ServerLiveness {
  private readonly quietMs: number;
  private readonly giveUpMs: number;
  private readonly spread: Spread;
  private heardMs: number;
  /** When something last came, was proven or compared. */
  progressMs: number;
  /** When something of the stream last came; -Infinity before. */
  streamedMs = Number.NEGATIVE_INFINITY;
  private askedMs = Number.NEGATIVE_INFINITY;
  private rediscoverMs = Number.POSITIVE_INFINITY;
  private awakeMs: number;
  /** Of many clients that hear nothing at once, each asks at a time of its own. */
  private share: number;

  /**
   * @param quietMs the quiet timeout
   * @param giveUpMs Infinity to wait for ever
   */
  constructor(quietMs: number, giveUpMs: number, spread: Spread, now: number) {
    this.quietMs = quietMs;
    this.giveUpMs = giveUpMs;
    this.spread = spread;
    this.heardMs = now;
    this.progressMs = now;
    this.awakeMs = now;
    this.share = spread.share();
  }

  /** The server is there. */
  heard(now: number): void {
    this.heardMs = now;
  }

  /** Blocks, zeros or a status came: the server is at work. */
  streamed(now: number): void {
    this.streamedMs = now;
  }

  /** Something came, was proven or compared: the copy gets on. */
  progressed(now: number): void {
    this.progressMs = now;
  }

  /**
   * Called at every turn. What came while the machine stood still, or did something else, has not
   * been read yet: such time counts for nothing.
   * @param dueMs when the turn was due
   */
  wake(now: number, dueMs: number): void {
    const lateMs = now - Math.max(dueMs, this.awakeMs);
    if (lateMs > LATE_MS) {
      this.heardMs = Math.min(now, this.heardMs + lateMs);
      this.progressMs = Math.min(now, this.progressMs + lateMs);
    }
    this.awakeMs = now;
  }

  /** Waiting begins now. */
  begin(now: number): void {
    this.heardMs = now;
    this.progressMs = now;
  }

  /** A packet of a session that nobody knows: the server may have been started again. */
  heardForeign(now: number): void {
    if (this.rediscoverMs < Number.POSITIVE_INFINITY) return;
    const dueMs = Math.max(now, this.askedMs + FOREIGN_ASK_MS);
    this.rediscoverMs = dueMs + this.share * this.spread.rejoinMs;
  }

  isQuiet(now: number): boolean {
    return now >= this.quietDueMs;
  }

  /** Whether the chosen server may be elsewhere by now. */
  isForsaken(now: number): boolean {
    return now - this.heardMs >= FORSAKEN_MS;
  }

  private get quietDueMs(): number {
    const sinceMs = Math.max(this.heardMs, this.askedMs);
    return sinceMs + this.quietMs + this.share * this.spread.rejoinMs;
  }

  /** Whether the server is to be asked now; notes that it is. */
  takeRediscovery(now: number): boolean {
    if (!this.isQuiet(now) && now < this.rediscoverMs) return false;
    this.askedMs = now;
    this.share = this.spread.share();
    this.rediscoverMs = Number.POSITIVE_INFINITY;
    return true;
  }

  isOver(now: number): boolean {
    return now >= this.giveUpDueMs;
  }

  /** Whether the server has not been heard either since there was progress. */
  get isSilentSinceProgress(): boolean {
    return this.heardMs - this.progressMs < this.quietMs;
  }

  get giveUpDueMs(): number {
    return this.progressMs + this.giveUpMs;
  }

  /** When there is something to do while a server is looked for. */
  get turnDueMs(): number {
    return Math.min(this.giveUpDueMs, this.awakeMs + MAX_TURN_MS);
  }

  /** When there is something to do while receiving. */
  get dueMs(): number {
    return Math.min(this.turnDueMs, this.quietDueMs, this.rediscoverMs);
  }
}
