/**
 * The wires: each client has one link down and one up, with losses, bursts of losses, delay,
 * disorder, repetitions and a bandwidth with a queue before it. Packets of a train share its
 * fate only as far as the wire lets them.
 */
import type { Agenda } from './agenda.js';
import type { Random } from './random.js';

export interface LinkFaults {
  lossRatio: number;
  burstRatio: number;
  duplicateRatio: number;
  reorderRatio: number;
  /** Of each second, nothing comes through for so long. */
  outageMs: number;
  /** Packets that come with some bits changed. */
  damageRatio: number;
}

/** Gets a train and the pieces of it that came through: start, end, start, end, ... */
export type Deliver = (train: Buffer, pieces: readonly number[]) => void;

export const NO_FAULTS: LinkFaults = {
  lossRatio: 0,
  burstRatio: 0,
  duplicateRatio: 0,
  reorderRatio: 0,
  damageRatio: 0,
  outageMs: 0,
};

/** Longest burst of losses: some dozens of packets at the usual rate. */
const MAX_BURST_MS = 30;
/** How much later a packet may come that was overtaken or repeated. */
const STRAY_MS = 6;
/** Packets that come within this time are handed over together. */
const TOGETHER_MS = 1;

export class Link {
  faults: LinkFaults;
  isCut = false;
  /** Bytes per ms that the link carries; Infinity for more than anybody sends. */
  bytesPerMs = Number.POSITIVE_INFINITY;
  queueBytes = 65_536;
  lost = 0;
  private readonly agenda: Agenda;
  private readonly random: Random;
  private readonly delayMs: number;
  private readonly phaseMs: number;
  private burstEndMs = 0;
  private freeAtMs = 0;
  private lastAtMs = 0;

  constructor(agenda: Agenda, random: Random, faults: LinkFaults) {
    this.agenda = agenda;
    this.random = random;
    this.faults = faults;
    this.delayMs = random.between(0.05, 0.8);
    this.phaseMs = (this.delayMs * 1e6) % 1000;
  }

  /** When a packet sent now comes out at the other end; -1 for never. */
  private arrival(bytes: number): number {
    const { now } = this.agenda;
    if (this.isCut || this.isLost()) return this.lose();
    let sentMs = now;
    if (this.bytesPerMs !== Number.POSITIVE_INFINITY) {
      const startMs = Math.max(now, this.freeAtMs);
      if ((startMs - now) * this.bytesPerMs > this.queueBytes) return this.lose();
      this.freeAtMs = startMs + bytes / this.bytesPerMs;
      sentMs = this.freeAtMs;
    }
    const jitterMs = this.random.next() * 0.2;
    // Only packets that were picked for it overtake each other.
    this.lastAtMs = Math.max(this.lastAtMs, sentMs + this.delayMs + jitterMs);
    return this.lastAtMs;
  }

  /** Ends all that is wrong with it. */
  heal(): void {
    this.faults = NO_FAULTS;
    this.isCut = false;
    this.bytesPerMs = Number.POSITIVE_INFINITY;
    this.burstEndMs = 0;
  }

  private lose(): number {
    this.lost++;
    return -1;
  }

  private isLost(): boolean {
    const { now } = this.agenda;
    if (this.random.chance(this.faults.burstRatio)) {
      this.burstEndMs = now + this.random.next() * MAX_BURST_MS;
    }
    if (now < this.burstEndMs) return true;
    if ((now + this.phaseMs) % 1000 < this.faults.outageMs) return true;
    return this.random.chance(this.faults.lossRatio);
  }

  /** Carries the packets of a train, each `packetBytes` long but the last. */
  carry(train: Buffer, packetBytes: number, deliver: Deliver): void {
    let pieces: number[] = [];
    let firstAtMs = 0;
    let lastAtMs = 0;
    const flush = (): void => {
      const carried = pieces;
      if (carried.length > 0) this.agenda.at(lastAtMs, () => deliver(train, carried));
      pieces = [];
    };
    for (let start = 0; start < train.length; start += packetBytes) {
      const end = Math.min(start + packetBytes, train.length);
      const atMs = this.arrival(end - start);
      if (atMs < 0) continue;
      const { duplicateRatio, reorderRatio, damageRatio } = this.faults;
      if (damageRatio > 0 && this.random.chance(damageRatio)) {
        const damaged = this.damaged(train.subarray(start, end));
        this.agenda.at(atMs, () => deliver(damaged, [0, damaged.length]));
        continue;
      }
      if (this.random.chance(duplicateRatio)) this.stray(train, atMs, [start, end], deliver);
      if (this.random.chance(reorderRatio)) {
        this.stray(train, atMs, [start, end], deliver);
        continue;
      }
      if (pieces.length > 0 && atMs - firstAtMs > TOGETHER_MS) flush();
      if (pieces.length === 0) firstAtMs = atMs;
      lastAtMs = atMs;
      if (pieces.at(-1) === start) pieces[pieces.length - 1] = end;
      else pieces.push(start, end);
    }
    flush();
  }

  private damaged(packet: Buffer): Buffer {
    const bytes = Buffer.from(packet);
    for (let flips = 1 + this.random.below(3); flips > 0; flips--) {
      const bit = this.random.below(bytes.length * 8);
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
    return bytes;
  }

  private stray(train: Buffer, atMs: number, piece: readonly number[], deliver: Deliver): void {
    this.agenda.at(atMs + this.random.next() * STRAY_MS, () => deliver(train, piece));
  }
}
