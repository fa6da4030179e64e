/**
 * How much of the stream gets through to one client lately, by what it reports: what the rate is
 * steered by. Apart from the client, whose other fields are looked at for every train.
 */

import type { Report } from '../../protocol/from-client.js';

/** Time constant over which delivery and loss are averaged. */
const AVERAGE_MS = 100;
const BEST_AVERAGE_MS = 3000;
/** Loss is averaged over this many packets at least: of a few, one lost is not yet a share. */
const MIN_LOSS_PACKETS = 300;
/**
 * A client that gets packets reports at least so often, if the rate follows it
 * (`SENTINEL_INTERVAL_MS` of the client, and some delay). One that did not got nothing meanwhile,
 * or was busy.
 */
const REPORTS_BY_MS = 30;
/**
 * Shares that make such a time an outage: of what was sent and lost, and of what came as fast as
 * before.
 */
const OUTAGE_LOSS = 0.5;
const OUTAGE_DELIVERY = 0.6;
/** What lasts longer is no outage: the path is gone, or the client hopelessly behind. */
const MAX_OUTAGE_MS = 300;
/** At the usual speed, so many packets at least would have come. */
const MIN_OUTAGE_PACKETS = 16;

/** Older packets count for less and less in the evidence, from so many on at least. */
const MIN_MEMORY_PACKETS = 1000;

export class Delivery {
  /** Packets per ms that reached the client lately. */
  packetsPerMs = 0;
  /** The most of these, forgotten over some seconds. */
  bestPacketsPerMs = 0;
  /** Share of packets lost lately. */
  lossRatio = 0;
  /** Packets, arrived or lost, since the evidence was last begun anew; of late ones the most. */
  evidencePackets = 0;
  private evidenceLost = 0;
  private evidenceFrom: number | null = null;
  /** Packets of the latest report; of those that it misses some may only be late. */
  private latestPackets = 0;
  private latestLost = 0;
  private latestFrom = 0;
  private packetsReceived = 0;
  private packetsLost = 0;
  private clockUs = 0;
  /** How long reports have been averaged. */
  private averagedMs = 0;
  /** For so long before the latest report, reports had nothing to tell. */
  private quietMs = 0;

  /** Share of packets lost since the client came. */
  get totalLossRatio(): number {
    return shareOf(this.packetsLost, this.packetsReceived + this.packetsLost);
  }

  /** As `packetsPerMs`, of what was reported so far alone: the average begins with nothing. */
  get earlyPacketsPerMs(): number {
    if (this.averagedMs === 0) return 0;
    return this.packetsPerMs / (1 - Math.exp(-this.averagedMs / AVERAGE_MS));
  }

  /** Share of the evidence's packets that was lost. */
  get evidenceLossRatio(): number {
    return Math.max(0, shareOf(this.evidenceLost, this.evidencePackets));
  }

  /** The same with what only the latest report misses. */
  get possibleLossRatio(): number {
    if (!this.isEvidence(this.latestFrom)) return this.evidenceLossRatio;
    const lost = this.evidenceLost + this.latestLost;
    return Math.max(0, shareOf(lost, this.evidencePackets + this.latestPackets));
  }

  /** What was sent before `position` counts no more: it was sent at another rate. */
  beginEvidence(position: number): void {
    this.evidenceFrom = position;
    this.evidencePackets = 0;
    this.evidenceLost = 0;
  }

  /** By the client's clock, from the last report that was counted to this one. */
  elapsedMs(report: Report): number {
    return ((report.clockUs - this.clockUs) | 0) / 1000;
  }

  /** The next report is held against this one. */
  countFrom(report: Report): void {
    this.packetsReceived = report.packetsReceived;
    this.packetsLost = report.packetsLost;
    this.clockUs = report.clockUs;
  }

  /**
   * Takes in what came since the last report that was counted.
   * @param sinceMs by the client's clock, since then
   * @param fromPosition what that one had seen
   */
  average(report: Report, sinceMs: number, fromPosition: number): void {
    const received = (report.packetsReceived - this.packetsReceived) | 0;
    // Below 0 when packets that were missed came after all.
    const lost = (report.packetsLost - this.packetsLost) | 0;
    const sent = received + lost;
    if (received < 0 || sent < 0) return;
    // Whether nothing came for want of anything sent, or since the path was out, the next packet
    // tells.
    if (sent === 0 && this.quietMs + sinceMs <= MAX_OUTAGE_MS) {
      this.quietMs += sinceMs;
      return;
    }
    const elapsedMs = sinceMs + this.quietMs;
    this.quietMs = 0;
    if (this.isOutage(received, lost, elapsedMs)) {
      this.addLoss(this.latestPackets, this.latestLost, this.latestFrom);
      this.latestPackets = 0;
      this.latestLost = 0;
      return;
    }
    this.averagedMs += elapsedMs;
    const weight = 1 - Math.exp(-elapsedMs / AVERAGE_MS);
    this.packetsPerMs += weight * (received / elapsedMs - this.packetsPerMs);
    const faded = this.bestPacketsPerMs * Math.exp(-elapsedMs / BEST_AVERAGE_MS);
    this.bestPacketsPerMs = Math.max(faded, this.packetsPerMs);
    // A busy machine's kernel may hand on packets that came later first: one report's gap is not
    // yet a loss.
    this.addLoss(this.latestPackets, this.latestLost + Math.min(0, lost), this.latestFrom);
    this.latestPackets = sent;
    this.latestLost = Math.max(0, lost);
    this.latestFrom = fromPosition;
  }

  /**
   * Whether the path carried nothing at all for a while: a switch that is busy, Wi-Fi that scans. A
   * link that is full goes on delivering what it can; so an outage says nothing of the rate, and
   * counts for none of the averages. It would drive the rate down, at any rate.
   */
  private isOutage(received: number, lost: number, elapsedMs: number): boolean {
    const usual = this.packetsPerMs * elapsedMs;
    return (
      elapsedMs > REPORTS_BY_MS &&
      usual > MIN_OUTAGE_PACKETS &&
      lost > OUTAGE_LOSS * (received + lost) &&
      received < OUTAGE_DELIVERY * usual
    );
  }

  private addLoss(sent: number, lost: number, fromPosition: number): void {
    if (sent === 0 && lost === 0) return;
    const packets = Math.max(MIN_LOSS_PACKETS, this.packetsPerMs * AVERAGE_MS);
    const lossWeight = 1 - Math.exp(-sent / packets);
    const lossRatio = this.lossRatio + lossWeight * (shareOf(lost, sent) - this.lossRatio);
    this.lossRatio = Math.max(0, lossRatio);
    this.addEvidence(sent, lost, fromPosition);
  }

  private addEvidence(sent: number, lost: number, fromPosition: number): void {
    if (!this.isEvidence(fromPosition)) return;
    this.evidenceFrom = null;
    const memoryPackets = Math.max(MIN_MEMORY_PACKETS, this.packetsPerMs * AVERAGE_MS);
    const kept = Math.exp(-sent / memoryPackets);
    this.evidencePackets = this.evidencePackets * kept + sent;
    this.evidenceLost = this.evidenceLost * kept + lost;
  }

  /** Whether packets from `fromPosition` on were sent at the rate that is to be judged. */
  private isEvidence(fromPosition: number): boolean {
    return this.evidenceFrom === null || fromPosition >= this.evidenceFrom;
  }
}

/** @returns below 0 when packets came that had been held for lost */
function shareOf(lost: number, packets: number): number {
  return lost / Math.max(1, packets);
}
