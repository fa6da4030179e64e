/**
 * When the stream may flow: at once, or when enough clients are here, at a time, or when the
 * operator says so; and not while the operator has it paused. Until then clients are counted, and
 * the block map is prepared.
 */
import type { StartedEvent } from './events.js';

/** Whichever comes first starts the stream; without any of them, only the operator does. */
export interface StartRules {
  /** As many clients are here; undefined for no such rule. */
  clients?: number | undefined;
  /** So long after the first client came; undefined for no such rule. */
  waitMs?: number | undefined;
  /** On the session's clock; undefined for no such rule. */
  atMs?: number | undefined;
}

export class StartGate {
  private readonly rules: StartRules;
  private isStarted: boolean;
  private isPaused = false;
  /** Clients that are here, as far as they are counted. */
  private presentCount = 0;
  private firstMs: number | null = null;

  /** @param rules null to start at once */
  constructor(rules: StartRules | null) {
    this.rules = rules ?? {};
    this.isStarted = rules === null;
  }

  /** Nothing may be sent of the image, nor of its map. */
  get isHeld(): boolean {
    return !this.isStarted || this.isPaused;
  }

  /** What holds it; null when nothing does. */
  get hold(): 'waiting' | 'paused' | null {
    if (this.isPaused) return 'paused';
    return this.isStarted ? null : 'waiting';
  }

  /** How many more clients are waited for; 0 when something else is, null when nothing is held. */
  get awaitedClients(): number | null {
    if (!this.isHeld) return null;
    const { clients = 0 } = this.rules;
    return this.isStarted ? 0 : Math.max(0, clients - this.presentCount);
  }

  /** When the stream starts by itself, on the session's clock; Infinity for not yet known. */
  get dueMs(): number {
    if (this.isStarted) return Number.POSITIVE_INFINITY;
    const { waitMs, atMs = Number.POSITIVE_INFINITY } = this.rules;
    const isCounting = waitMs !== undefined && this.firstMs !== null;
    return isCounting ? Math.min(atMs, this.firstMs! + waitMs) : atMs;
  }

  /**
   * Looks whether it is time, once a round.
   * @param presentCount machines whose clients are here
   * @returns why the stream starts now; null when it does not
   */
  update(now: number, presentCount: number): StartedEvent['reason'] | null {
    if (this.isStarted) return null;
    this.presentCount = presentCount;
    if (presentCount > 0) this.firstMs ??= now;
    const { clients } = this.rules;
    if (clients !== undefined && presentCount >= clients) return this.open('clients');
    return now >= this.dueMs ? this.open('time') : null;
  }

  /** The operator waits no longer. @returns whether it had not started */
  start(): boolean {
    return !this.isStarted && this.open('operator') !== null;
  }

  /** @returns whether it flowed, or would have when it started */
  pause(): boolean {
    const wasPaused = this.isPaused;
    this.isPaused = true;
    return !wasPaused;
  }

  /** @returns whether it was paused */
  resume(): boolean {
    const wasPaused = this.isPaused;
    this.isPaused = false;
    return wasPaused;
  }

  private open(reason: StartedEvent['reason']): StartedEvent['reason'] {
    this.isStarted = true;
    return reason;
  }
}
