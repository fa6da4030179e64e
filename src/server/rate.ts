/**
 * How fast to send: a rate for the network, a window for the receivers, both found from what
 * clients report.
 *
 * The rate rises while no followed client loses more than the path's usual share, and falls to
 * what was delivered when one does (the bottleneck shows its own speed in what gets through:
 * the idea of BBR). Loss that lowering the rate does not lower is the path's own, and is
 * learnt. The window bounds how far the sender may be ahead of a followed client, so that a
 * busy client's socket buffer does not overflow.
 */

import type { Client } from './clients/client.js';
import type { Delivery } from './clients/delivery.js';

export interface RateOptions {
  /** UDP payload of a full block packet. */
  packetBytes: number;
  /** Send position of the first packet. */
  firstPosition: number;
  /** Ceiling; Infinity for none. */
  ceilingBytesPerMs: number;
  /** Follow even clients far slower than the others. */
  waitForSlow: boolean;
}

/** First guess: half of gigabit Ethernet. Wrong by any factor, it is right within a few rounds. */
const INITIAL_BYTES_PER_MS = 62_500;
const MIN_BYTES_PER_MS = 250;
export const ROUND_MS = 20;
const START_GROWTH = 2;
/** Far below the rate at which the network was last full, near it, and beyond it. */
const RECOVERY_GROWTH = 1.15;
const CAREFUL_GROWTH = 1.005;
const GROWTH = 1.02;
/** A rate so much beyond what was sent lately was not tried. */
const HEADROOM = 1.25;
/** What was sent, averaged over about ten rounds; the most of it is forgotten over about fifty. */
const SENT_WEIGHT = 0.1;
const MAX_SENT_DECAY = 0.98;
/** Shares of that rate where "near" begins and ends. */
const NEAR_SHARE = 0.9;
const BEYOND_SHARE = 1.1;
/** After lowering, the averages need this long to show what it did. */
const SETTLE_MS = 150;
/** Shares of the rate to which one lowering may take it. */
const MAX_LOWERED = 0.97;
const MIN_LOWERED = 0.25;
/** Loss above the path's usual that counts as congestion. */
const LOSS_TOLERANCE = 0.03;
/** The path's usual loss falls only slowly to what a round happened to show. */
const FLOOR_DECAY = 0.02;
const MIN_EVIDENCE_PACKETS = 400;
/** At the start, when the rate is but a guess, so few packets and so much loss are enough. */
const START_EVIDENCE_PACKETS = 100;
const START_LOSS = 0.25;
/**
 * At first as much may be underway as was heard of, as TCP begins: a guess far too high then costs
 * little. Once a client has taken so much, the guess was none.
 */
const PROBE_BYTES = 2 * 1024 * 1024;
/** And no more than what got through in so long, lest it only fills a queue. */
const PROBE_MS = 250;
/** Lowerings in a row, between which it is tried whether they bring the loss down. */
const TRIAL_BEGINS = 2;
const TRIAL_ENDS = 4;
/** A hindered client that takes less than this share of the best one is left behind. */
const FOLLOW_SHARE = 0.5;
const HINDERED_LOSS = 0.1;
const LEAVE_AFTER_MS = 80;
const FOLLOW_AGAIN_MS = 500;
/** A followed client not heard of for this long no longer holds the window. */
const UNHEARD_MS = 300;
/** Share of a receive buffer that may be underway: the kernel counts its own overhead in it. */
const WINDOW_SHARE = 0.3;
const MAX_WINDOW_BYTES = 16 * 1024 * 1024;
const MIN_WINDOW_BYTES = 128 * 1024;
/**
 * However small the buffers, the window covers this long at the current rate: reports take time.
 */
const WINDOW_MS = 30;
const MAX_RATE_WINDOW_BYTES = 4 * 1024 * 1024;

export class RateController {
  /** Current rate in bytes of UDP payload per millisecond. */
  bytesPerMs: number;
  /** Packets that may be underway to a followed client. */
  windowPackets: number;

  private readonly options: RateOptions;
  private isStarting = true;
  private isProbing = true;
  /** Send position when the rate was last to rise. */
  private steppedAt = 0;
  private sentPerMs = 0;
  private mostSentPerMs = 0;
  private lossFloor = 0;
  /**
   * How often the rate was lowered since it was last raised, and what was so when the trial began.
   */
  private lowerings = 0;
  private trialBytesPerMs = Number.NaN;
  private trialDeliveredPerMs = Number.NaN;
  private settleUntilMs = Number.NEGATIVE_INFINITY;
  /** What was carried when the network was last full. */
  private fullBytesPerMs = Number.POSITIVE_INFINITY;
  private roundAtMs = Number.NEGATIVE_INFINITY;
  private roundBytes = 0;

  constructor(options: RateOptions) {
    this.options = options;
    this.bytesPerMs = Math.min(INITIAL_BYTES_PER_MS, options.ceilingBytesPerMs);
    this.windowPackets = Math.ceil(MIN_WINDOW_BYTES / options.packetBytes);
  }

  /**
   * What is known of the network in bytes per millisecond: the rate, unless something else limits
   * the sender. A rate that nothing makes use of rises on a few full rounds, and no loss brings it
   * down.
   */
  get triedBytesPerMs(): number {
    return Math.min(this.bytesPerMs, Math.max(this.mostSentPerMs * HEADROOM, INITIAL_BYTES_PER_MS));
  }

  /** @param ceilingBytesPerMs the operator's; Infinity for none */
  setCeiling(ceilingBytesPerMs: number): void {
    this.options.ceilingBytesPerMs = ceilingBytesPerMs;
    this.bytesPerMs = Math.min(this.bytesPerMs, ceilingBytesPerMs);
  }

  /** Notes bytes handed to the network. */
  sent(bytes: number): void {
    this.roundBytes += bytes;
  }

  /**
   * Runs once a round.
   * @param sentinels clients that report often, and still want data
   * @param position next send position
   */
  update(now: number, sentinels: readonly Client[], position: number): void {
    const elapsedMs = now - this.roundAtMs;
    if (elapsedMs < ROUND_MS) return;
    const sentPerMs = this.roundBytes / elapsedMs;
    this.roundAtMs = now;
    this.roundBytes = 0;
    this.averageSent(sentPerMs);

    const reporting = sentinels.filter((client) => client.reportedMs !== null);
    this.chooseFollowed(now, reporting, position);
    const followed = reporting.filter((client) => client.followed);
    this.setWindow(followed);
    if (now < this.settleUntilMs) {
      // Only packets sent after the last lowering can tell whether it was enough.
      for (const { delivery } of followed) delivery.beginEvidence(position);
      return;
    }

    const isFarTooFast = this.isFarTooFast(followed);
    const judged = isFarTooFast
      ? followed
      : followed.filter(({ delivery }) => delivery.evidencePackets >= MIN_EVIDENCE_PACKETS);
    if (judged.length === 0) return;
    const loss = Math.max(...judged.map(lossOf));
    if (loss < this.lossFloor) this.lossFloor += FLOOR_DECAY * (loss - this.lossFloor);
    if (loss > this.lossFloor + LOSS_TOLERANCE) {
      // Many clients behind one full link tell its speed together better than the one that got
      // least, which may only have been busy.
      const leastLoss = this.lossFloor + LOSS_TOLERANCE / 2;
      const losing = judged.filter((client) => lossOf(client) > leastLoss);
      const delivered = median(
        losing.map(({ delivery }) =>
          isFarTooFast ? delivery.earlyPacketsPerMs : delivery.packetsPerMs,
        ),
      );
      this.lower(now, loss, delivered, isFarTooFast);
    } else {
      // What a report misses may only be late: the next one tells.
      if (Math.max(...judged.map(possibleLossOf)) > this.lossFloor + LOSS_TOLERANCE) return;
      this.lowerings = 0;
      if (this.isStarting && !this.isStepHeardOf(now, judged)) return;
      this.raise(sentPerMs);
      this.steppedAt = position;
    }
  }

  /** Whether the first guess is clearly wrong, for all clients: one alone may only be busy. */
  private isFarTooFast(clients: readonly Client[]): boolean {
    const isClear = ({ evidencePackets, evidenceLossRatio }: Delivery) =>
      evidencePackets >= START_EVIDENCE_PACKETS && evidenceLossRatio >= START_LOSS;
    return this.isProbing && clients.length > 0 && clients.every((c) => isClear(c.delivery));
  }

  /** At the start a step is large: not another one before it is heard how the last one went. */
  private isStepHeardOf(now: number, clients: readonly Client[]): boolean {
    return clients.every((client) => isUnheard(client, now) || client.position >= this.steppedAt);
  }

  private lower(now: number, loss: number, deliveredPerMs: number, isFarTooFast: boolean): void {
    this.lowerings++;
    if (this.lowerings === TRIAL_BEGINS) {
      // Not before the averages show what the first lowering did.
      this.trialBytesPerMs = this.bytesPerMs;
      this.trialDeliveredPerMs = deliveredPerMs;
    } else if (this.lowerings >= TRIAL_ENDS && this.isPathsOwnLoss(deliveredPerMs)) {
      this.lossFloor = loss;
      this.lowerings = 0;
      this.bytesPerMs = this.trialBytesPerMs;
      return;
    }
    const carried = (deliveredPerMs * this.options.packetBytes) / (1 - this.lossFloor);
    const most = this.bytesPerMs * MAX_LOWERED;
    const atOnce = isFarTooFast ? 0 : this.bytesPerMs * MIN_LOWERED;
    const lowered = Math.min(Math.max(carried, atOnce), most);
    // The operator's ceiling may lie below what is the least otherwise.
    const least = Math.min(MIN_BYTES_PER_MS, this.options.ceilingBytesPerMs);
    this.bytesPerMs = Math.max(lowered, least);
    this.isStarting = false;
    this.isProbing = false;
    this.settleUntilMs = now + SETTLE_MS;
    this.fullBytesPerMs = carried;
  }

  /**
   * Behind a full link, as much gets through at a lower rate as before; where a path loses
   * packets of its own, less does, in proportion.
   */
  private isPathsOwnLoss(deliveredPerMs: number): boolean {
    const rateShare = this.bytesPerMs / this.trialBytesPerMs;
    return deliveredPerMs / this.trialDeliveredPerMs < (1 + rateShare) / 2;
  }

  private averageSent(sentPerMs: number): void {
    this.sentPerMs += SENT_WEIGHT * (sentPerMs - this.sentPerMs);
    this.mostSentPerMs = Math.max(this.sentPerMs, this.mostSentPerMs * MAX_SENT_DECAY);
  }

  private raise(sentPerMs: number): void {
    // Where something else than the rate limits the sender, a higher rate would say nothing.
    if (sentPerMs < this.bytesPerMs * 0.7) return;
    this.bytesPerMs = Math.min(this.bytesPerMs * this.growth, this.options.ceilingBytesPerMs);
  }

  private get growth(): number {
    if (this.isStarting) return START_GROWTH;
    const share = this.bytesPerMs / this.fullBytesPerMs;
    if (share < NEAR_SHARE) return RECOVERY_GROWTH;
    return share < BEYOND_SHARE ? CAREFUL_GROWTH : GROWTH;
  }

  private chooseFollowed(now: number, clients: readonly Client[], position: number): void {
    for (const client of clients) {
      if (client.isReleased) {
        client.followed = false;
      } else if (this.options.waitForSlow) {
        client.followed = true;
      } else if (!this.isHindered(client, position)) {
        client.slowSinceMs = null;
        if (client.easySinceMs === 0) client.easySinceMs = now;
        if (now - client.easySinceMs >= FOLLOW_AGAIN_MS) client.followed = true;
      } else {
        client.easySinceMs = 0;
        this.judgeHindered(client, clients, now, position);
      }
    }
  }

  private judgeHindered(
    client: Client,
    clients: readonly Client[],
    now: number,
    position: number,
  ): void {
    let best = 0;
    for (const other of clients) {
      if (other === client) continue;
      // Who is hindered as well shows what it takes now; who is not could take what it took before.
      const isHindered = this.isHindered(other, position);
      const { delivery } = other;
      best = Math.max(best, isHindered ? delivery.packetsPerMs : delivery.bestPacketsPerMs);
    }
    if (client.delivery.packetsPerMs >= FOLLOW_SHARE * best) {
      client.followed = true;
      client.slowSinceMs = null;
    } else if (client.followed) {
      client.slowSinceMs ??= now;
      if (now - client.slowSinceMs < LEAVE_AFTER_MS) return;
      client.followed = false;
      this.goBackTo(best);
    }
  }

  private isHindered(client: Client, position: number): boolean {
    return (
      client.delivery.lossRatio > HINDERED_LOSS || client.lag(position) > this.windowPackets / 2
    );
  }

  /** The client that held the rate down no longer counts: go back to what the best one took. */
  private goBackTo(bestDeliveredPerMs: number): void {
    const carried = bestDeliveredPerMs * this.options.packetBytes;
    this.bytesPerMs = Math.max(this.bytesPerMs, Math.min(carried, this.options.ceilingBytesPerMs));
    this.fullBytesPerMs = Number.POSITIVE_INFINITY;
  }

  private setWindow(followed: readonly Client[]): void {
    let bufferBytes = Number.POSITIVE_INFINITY;
    for (const client of followed) {
      if (client.receiveBufferBytes < bufferBytes) bufferBytes = client.receiveBufferBytes;
    }
    if (bufferBytes === Number.POSITIVE_INFINITY) return;
    const windowBytes = Math.max(
      Math.min(bufferBytes * WINDOW_SHARE, MAX_WINDOW_BYTES),
      MIN_WINDOW_BYTES,
      Math.min(this.bytesPerMs * WINDOW_MS, MAX_RATE_WINDOW_BYTES),
    );
    this.windowPackets = Math.ceil(windowBytes / this.options.packetBytes);
  }

  /** Whether so much is underway to one of the clients that nothing may follow. */
  isHeldBack(clients: readonly Client[], position: number, now: number): boolean {
    for (const client of clients) {
      if (client.lag(position) > this.windowPackets && this.holdsWindow(client, now)) return true;
    }
    return this.isProbing && this.isProbeOut(clients, position, now);
  }

  /**
   * While the rate is a guess: whether as much is underway as was heard of, to all clients; one
   * that is slow is not waited for. Ends the guessing when one has taken enough.
   */
  private isProbeOut(clients: readonly Client[], position: number, now: number): boolean {
    const { firstPosition, packetBytes } = this.options;
    let isSomebodyHeard = false;
    for (const client of clients) {
      if (isUnheard(client, now)) continue;
      isSomebodyHeard = true;
      const packetsPerMs = client.delivery.earlyPacketsPerMs;
      const taken = client.position - firstPosition;
      if (packetsPerMs > 0 && taken * packetBytes > PROBE_BYTES) {
        this.endProbing(packetsPerMs * packetBytes);
        return false;
      }
      const most = Math.min(taken, packetsPerMs * PROBE_MS);
      if (client.lag(position) <= Math.max(most, MIN_WINDOW_BYTES / packetBytes)) return false;
    }
    return isSomebodyHeard;
  }

  /** A rate far beyond what got through is still but a guess. */
  private endProbing(deliveredBytesPerMs: number): void {
    this.isProbing = false;
    const least = Math.min(this.bytesPerMs, MIN_BYTES_PER_MS);
    const most = deliveredBytesPerMs * START_GROWTH;
    this.bytesPerMs = Math.max(least, Math.min(this.bytesPerMs, most));
  }

  /** Whether `client` may hold the sender back at `now`. */
  holdsWindow(client: Client, now: number): boolean {
    const { reportedMs, sentinelSinceMs, followed } = client;
    if (!followed || reportedMs === null || sentinelSinceMs === null) return false;
    // Chosen only now, it has not yet told how far it is.
    if (reportedMs <= sentinelSinceMs) return false;
    return this.options.waitForSlow || !isUnheard(client, now);
  }
}

/** Of one that never reported, the time counts from when it came. */
function isUnheard({ reportedMs, joinedMs }: Client, now: number): boolean {
  return now - (reportedMs ?? joinedMs) >= UNHEARD_MS;
}

function lossOf({ delivery }: Client): number {
  return delivery.evidenceLossRatio;
}

function possibleLossOf({ delivery }: Client): number {
  return delivery.possibleLossRatio;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}
