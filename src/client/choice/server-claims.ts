/**
 * What is said in a server's name and nothing vouches for, and when it is believed: that the copy
 * is at its end, that this client was dropped, that the server has the image at all.
 */

import type { Failure } from '../../failure.js';

/** No server that still runs is silent for longer while somebody waits for an answer. */
const SILENCE_MS = 1500;
/** A stream that goes on for so long proves that nothing has ended. */
const FORGOTTEN_AFTER_MS = 10_000;
/** Who is said to be dropped asks this often: the question may be lost, or the answer. */
const DROPPED_ASK_MS = 200;
/** Of a stream that is not slow, something is proven sooner. */
const UNPROVEN_MS = 10_000;
/** A server that is slow, or waits for clients, its operator or its map, is believed so long. */
const WAITING_MS = 60_000;
/** Less in the shorter time is no stream of an image at any rate. */
const FLOWING_BYTES = 64 * 1024;
/** Of a stream of so many chunks, one is proven, whatever is lost and other clients lack. */
const OWED_TIMES = 4;
/** Each server that is come back to is believed for twice as long as before, so many times. */
const MAX_DOUBLINGS = 5;
const MAX_LEFT = 64;
/** Whoever gives up soon when nothing comes looks for another server well before. */
const GIVE_UP_SHARE = 1 / 3;
/** While there are doubts, others are asked for this often; later on, less and less often. */
const OTHERS_ASK_MS = 2_000;
/** Servers of other images take whoever asked for under way for 30 s, and have to end, too. */
const MAX_ASK_MS = 90_000;

/**
 * What would end the copy, if it is true: the image changed, another one is served. Without a key
 * anybody may say so in the server's name. It is believed once the stream that it speaks of has
 * ended, and forgotten when that goes on for long.
 */
export class LastWords {
  private failure: Failure | null = null;
  private saidMs = Number.POSITIVE_INFINITY;

  /** @param isProven what the server says is known to be its own: nothing is waited for */
  constructor(private readonly isProven: boolean) {}

  /** The first word counts: the same is said several times. */
  hear(failure: Failure, now: number): void {
    if (this.failure !== null) return;
    this.failure = failure;
    this.saidMs = now;
  }

  /** When `take` may have something to say, if the stream goes silent now. */
  dueMs(streamedMs: number): number {
    if (this.failure === null) return Number.POSITIVE_INFINITY;
    return this.isProven ? this.saidMs : Math.max(this.saidMs, streamedMs) + SILENCE_MS;
  }

  /**
   * @param streamedMs when something of the stream last came
   * @returns why the copy is at its end, once that is to be believed
   */
  take(streamedMs: number, now: number): Failure | null {
    if (streamedMs - this.saidMs >= FORGOTTEN_AFTER_MS) this.failure = null;
    return now >= this.dueMs(streamedMs) ? this.failure : null;
  }
}

/**
 * A farewell that says: the operator of the server has dropped this client. Without a key anybody
 * who heard the client's id may say so in the server's name. So the server is asked, several times:
 * it describes its image to whoever it has not dropped.
 */
export class DroppedWord {
  private saidMs = Number.POSITIVE_INFINITY;
  private askDueMs = Number.POSITIVE_INFINITY;

  hear(now: number): void {
    if (this.saidMs !== Number.POSITIVE_INFINITY) return;
    this.saidMs = now;
    this.askDueMs = now;
  }

  /** The server has described its image to this client: it was somebody else's word. */
  refute(): void {
    this.saidMs = Number.POSITIVE_INFINITY;
    this.askDueMs = Number.POSITIVE_INFINITY;
  }

  /** When the server is to be asked, or the word is to be believed. */
  get dueMs(): number {
    return Math.min(this.askDueMs, this.saidMs + SILENCE_MS);
  }

  /** @returns whether to ask the server now */
  takeQuestion(now: number): boolean {
    if (now < this.askDueMs) return false;
    this.askDueMs = now + DROPPED_ASK_MS;
    return true;
  }

  isTrue(now: number): boolean {
    return now >= this.saidMs + SILENCE_MS;
  }
}

/** What the client has of the stream, to tell whether anything of it proves itself. */
export interface Proofs {
  /** Parts of the map and chunks that are proven. */
  count: number;
  /** Bytes that came of the session. */
  wireBytes: number;
  /** Length of a chunk, once chunks are wanted; 0 before. */
  owedBytes: number;
}

/**
 * Whether anything that the chosen server sends is ever proven. Anybody can name the map of a
 * signed image, and hand out its statement once more; only who has the image can send what fits.
 * A server of which nothing fits is left for another one of the same image, if there is one. The
 * true one may be slow: whoever is come back to is given more time, and nobody twice before all.
 */
export class ProofWatch {
  private readonly maxSilentMs: number;
  private count = 0;
  private sinceMs: number;
  private sinceBytes = 0;
  /** From then on there are doubts. */
  private doubtMs: number;
  private askDueMs = Number.NEGATIVE_INFINITY;
  private asked = 0;
  private hasTold = false;
  /** How often servers were left, by address; who was left longest ago comes first. */
  private readonly left = new Map<string, number>();

  /** @param giveUpMs Infinity to wait for ever */
  constructor(giveUpMs: number, now: number) {
    this.maxSilentMs = GIVE_UP_SHARE * giveUpMs;
    this.sinceMs = now;
    this.doubtMs = now + Math.min(UNPROVEN_MS, this.maxSilentMs);
  }

  /** Something was proven, or nothing is wanted. */
  private restart({ count, wireBytes }: Proofs, now: number): void {
    this.count = count;
    this.sinceMs = now;
    this.sinceBytes = wireBytes;
    this.asked = 0;
    this.askDueMs = Number.NEGATIVE_INFINITY;
  }

  /** The image is taken from another server from now on, or from the same, started again. */
  turn(from: string, to: string, proofs: Proofs, now: number): void {
    if (from !== to && this.isInDoubt(now)) {
      const times = this.left.get(from) ?? 0;
      this.left.delete(from);
      if (this.left.size >= MAX_LEFT) this.left.clear();
      this.left.set(from, times + 1);
    }
    if (from !== to) this.hasTold = false;
    this.rest(proofs, now);
  }

  /**
   * @param server the address of the one chosen
   * @param isHeld the server says that it waits for something
   * @param progressMs when anything of the image last came
   */
  note(server: string, proofs: Proofs, isHeld: boolean, progressMs: number, now: number): void {
    if (proofs.count !== this.count) this.restart(proofs, now);
    const cameBytes = proofs.wireBytes - this.sinceBytes;
    const isSlow = cameBytes >= FLOWING_BYTES && cameBytes < OWED_TIMES * proofs.owedBytes;
    const patience = 2 ** Math.min(this.left.get(server) ?? 0, MAX_DOUBLINGS);
    const unprovenMs = (isHeld || isSlow ? WAITING_MS : UNPROVEN_MS) * patience;
    const silentMs = Math.max(progressMs, this.sinceMs) + this.maxSilentMs;
    this.doubtMs = Math.min(this.sinceMs + unprovenMs, silentMs);
  }

  /** Nothing is wanted of the server, or nothing can be taken. */
  rest(proofs: Proofs, now: number): void {
    this.restart(proofs, now);
    this.doubtMs = now + Math.min(UNPROVEN_MS, this.maxSilentMs);
  }

  private isInDoubt(now: number): boolean {
    return now >= this.doubtMs;
  }

  /** Whether to take the image from a server that has described it. */
  isTaken(server: string, chosen: string, now: number): boolean {
    if (!this.isInDoubt(now)) return false;
    // First who was never left, then who was left longest ago, then whoever is there.
    if (!this.left.has(server) || this.asked > 2) return true;
    const [longestAgo] = [...this.left.keys()].filter((address) => address !== chosen);
    return this.asked === 2 && server === longestAgo;
  }

  /** When other servers are to be asked. */
  get dueMs(): number {
    return Math.max(this.doubtMs, this.askDueMs);
  }

  /** @returns whether to ask now, and whether to tell of the doubts, which is done once */
  takeQuestion(now: number): 'none' | 'told' | 'untold' {
    if (now < this.dueMs) return 'none';
    this.asked++;
    this.askDueMs = now + Math.min(OTHERS_ASK_MS * 2 ** Math.max(0, this.asked - 3), MAX_ASK_MS);
    const word = this.hasTold ? 'told' : 'untold';
    this.hasTold = true;
    return word;
  }
}
