/**
 * What the server says while its image is received: statuses, notices, and its answers to map
 * requests, from which it shows whether it still is what it was. And what this client says when
 * the server's stream leaves it behind.
 */

import { Failure } from '../failure.js';
import type { Address } from '../protocol/address.js';
import {
  decodeNotice,
  decodeStatus,
  type ImageDescription,
  NoticeCode,
} from '../protocol/from-server.js';
import { type ServerChoice, sessionText } from './choice/server-choice.js';
import { DroppedWord, LastWords, ProofWatch } from './choice/server-claims.js';
import type { Outbox } from './outputs.js';
import type { Receiver } from './receiver.js';
import type { ServerLiveness } from './timing.js';

/** A server that says nothing may not have got the request. */
const REJOIN_MS = 200;
const MAX_IN_WINDOW = 5;
const WINDOW_MS = 10_000;
/** The same is told again after this long. */
const REPEAT_MS = 60_000;
const MAX_REMEMBERED = 64;

export class ServerMessages {
  private readonly notices = new NoticeLimit();
  private readonly lag = new LagWatch();
  private readonly lastWords: LastWords;
  private readonly dropped = new DroppedWord();
  /** Null where any image is as good as another: then nothing says which server is the true one. */
  private readonly proofs: ProofWatch | null;
  /** With a key: when to join the session (again), until the server knows this client. */
  private joinDueMs = Number.POSITIVE_INFINITY;
  /** The session was heard from another address: whoever serves it is to be asked where it is. */
  /** The last question whether the server still is what it was has no answer yet. */
  private isUnanswered = false;
  private hasMoved = false;

  constructor(
    private readonly choice: ServerChoice,
    private readonly liveness: ServerLiveness,
    private readonly receiver: Receiver,
    private readonly outbox: Outbox,
    giveUpMs: number,
    now: number,
  ) {
    this.lastWords = new LastWords(choice.sealing !== null);
    this.proofs = choice.pinnedId === null ? null : new ProofWatch(giveUpMs, now);
    this.join(now);
  }

  /** Before anything else is asked for. Of a plain session, whoever asked has joined. */
  private join(now: number): void {
    if (this.choice.sealing === null) return;
    this.joinDueMs = now + REJOIN_MS;
    this.choice.ask(this.choice.server);
  }

  /** Takes a server's answer to a map request. @returns false for one that is forged */
  takeDescription(description: ImageDescription, from: Address, now: number): boolean {
    if (description.session === this.choice.description?.session) {
      return this.hearAgain(description, from, now);
    }
    if (from.address === this.choice.server?.address) {
      this.liveness.heard(now);
      if (this.isSame(description)) this.rejoin(description, this.choice.server, now);
      else this.lastWords.hear(this.choice.otherImage(description), now);
    } else if (this.isLosable(from, now) && this.isSame(description)) {
      // It may be the chosen one's successor, if that is gone.
      this.liveness.heard(now);
      this.outbox.notice(`the image is taken from the server at ${from.address} from now on`);
      this.rejoin(description, from, now);
    }
    return true;
  }

  /** Takes an answer while the client parts: the report is for whoever serves this image now. */
  takeLateDescription(description: ImageDescription, from: Address, now: number): void {
    const isNew = description.session !== this.choice.description?.session;
    if (isNew && this.isSame(description)) this.rejoin(description, from, now);
  }

  /**
   * The session answers that is received. Anybody can see its number in the stream: what does
   * not agree with what it said before must change nothing.
   */
  private hearAgain(description: ImageDescription, from: Address, now: number): boolean {
    const { choice, receiver } = this;
    if (!choice.isConsistent(description)) return false;
    if (!receiver.agreesWith(description.mapId)) {
      // A server that was started again tells its map only when that is made: it may be another.
      const mayTell = !receiver.isMapOfSession && from.address === choice.server?.address;
      if (mayTell) this.outbox.fail(choice.otherImage(description));
      return mayTell;
    }
    this.liveness.heard(now);
    this.isUnanswered = false;
    this.dropped.refute();
    // Its addresses may have changed.
    choice.renew(description, from);
    this.hasMoved = false;
    if (description.isJoined) this.joinDueMs = Number.POSITIVE_INFINITY;
    receiver.knowPosition(description.position);
    receiver.learnMap(description.mapId, now);
    return true;
  }

  /** The chosen server never sent anything, or nothing for long: it may be gone, or elsewhere. */
  private isAlone(now: number): boolean {
    return !this.receiver.hasHeard || this.liveness.isForsaken(now);
  }

  /** Nothing is lost with the chosen server: another one of its image will do. */
  private isLosable(from: Address, now: number): boolean {
    const chosen = this.choice.server!.address;
    return this.isAlone(now) || (this.proofs?.isTaken(from.address, chosen, now) ?? false);
  }

  private isSame(description: ImageDescription): boolean {
    return this.choice.isAlike(description) && this.receiver.agreesWith(description.mapId);
  }

  /** The server was started again, and serves the same image. */
  private rejoin(description: ImageDescription, server: Address, now: number): void {
    const before = this.choice.server!.address;
    this.isUnanswered = false;
    this.choice.renew(description, server);
    this.receiver.rejoin(description, now);
    this.proofs?.turn(before, server.address, this.receiver.proofs, now);
    this.join(now);
    const session = sessionText(description.session);
    this.outbox.tell({ type: 'server-restarted', session });
  }

  /** Whether a packet of the group is the stream's; notes what it tells of the server if not. */
  isOfStream(bytes: Buffer, offset: number, isFromServer: boolean, now: number): boolean {
    const isOwn = this.receiver.intake.isOwn(bytes, offset);
    if (isOwn && isFromServer) {
      this.liveness.heard(now);
      return true;
    }
    // The session from another address: that may have changed. Another one from this: restarted.
    if (isOwn) this.hasMoved = true;
    if (isOwn || isFromServer) this.liveness.heardForeign(now);
    return false;
  }

  /** @returns false when it is malformed */
  takeStatus(packet: Buffer, now: number): boolean {
    const status = decodeStatus(packet);
    if (status === null) return false;
    this.liveness.streamed(now);
    // One that names another image is to be asked.
    if (!this.receiver.follow(status, packet.length, now)) this.liveness.heardForeign(now);
    const { counters, isCrowded } = this.receiver;
    this.outbox.notice(this.lag.note(counters, isCrowded, now));
    // A server that still makes the map is at work for those that can look only then; one that
    // waits for more clients has told that it will begin.
    const { isAwaitingMap, awaitedClients } = this.receiver;
    if (isAwaitingMap || awaitedClients !== null) this.liveness.progressed(now);
    return true;
  }

  /** @returns false when it is malformed */
  takeNotice(packet: Buffer, now: number): boolean {
    const notice = decodeNotice(packet);
    if (notice === null) return false;
    if (notice.code === NoticeCode.sourceChanged) {
      const text = `the server's image changed: ${notice.text}`;
      this.lastWords.hear(new Failure('source', 'SOURCE_CHANGED', text), now);
      return true;
    }
    if (notice.code === NoticeCode.unreadable) {
      this.receiver.sourceLacks(notice.first, notice.count, now);
    }
    for (const text of this.notices.take(notice.text, now)) this.outbox.notice(text);
    return true;
  }

  /** The server is said to have dropped this client, and nobody vouches for that. */
  hearDropped(now: number): void {
    this.dropped.hear(now);
  }

  /** When `tick` may have to end the copy. */
  get dueMs(): number {
    const { dropped, joinDueMs, lastWords } = this;
    const proofsDueMs = this.proofs?.dueMs ?? Number.POSITIVE_INFINITY;
    const wordsDueMs = lastWords.dueMs(this.liveness.streamedMs);
    return Math.min(joinDueMs, dropped.dueMs, wordsDueMs, proofsDueMs);
  }

  /** Asks again where the channel is quiet, and whether the server still is what it was. */
  tick(now: number): void {
    const { choice, liveness, receiver } = this;
    const failure = this.lastWords.take(liveness.streamedMs, now);
    if (failure !== null) this.outbox.fail(failure);
    if (this.dropped.isTrue(now)) choice.failDropped();
    else if (this.dropped.takeQuestion(now)) choice.ask(choice.server);
    if (now >= this.joinDueMs) this.join(now);
    if (liveness.isQuiet(now) && receiver.isWaiting) {
      this.outbox.tell({ type: 'quiet', missingChunks: receiver.progress().missingChunks });
      receiver.askAgain(now);
    }
    if (this.proofs !== null) this.watchProofs(this.proofs, now);
    if (!liveness.takeRediscovery(now)) return;
    choice.ask(this.hasMoved || this.isAlone(now) ? null : choice.server, this.isUnanswered);
    this.isUnanswered = true;
  }

  private watchProofs(watch: ProofWatch, now: number): void {
    const { choice, receiver, liveness } = this;
    const { proofs } = receiver;
    if (!receiver.isWaiting || receiver.isCrowded) {
      watch.rest(proofs, now);
      return;
    }
    const { address } = choice.server!;
    const isHeld = receiver.awaitedClients !== null || receiver.isAwaitingMap;
    watch.note(address, proofs, isHeld, liveness.progressMs, now);
    const question = watch.takeQuestion(now);
    if (question === 'none') return;
    choice.ask(null);
    if (question === 'told') return;
    const found = isHeld
      ? `the server at ${address} only says that it waits`
      : `for a while now, nothing that the server at ${address} sends proves to be of the image`;
    this.outbox.notice(
      `${found}: other servers of image ${choice.pinnedId} are looked for (-s HOST names one)`,
    );
  }
}

/** How much of what a server says for people is passed on: anybody may speak in its name. */
export class NoticeLimit {
  private windowEndMs = Number.NEGATIVE_INFINITY;
  private passed = 0;
  private left = 0;
  /** When each text was last passed on. */
  private readonly told = new Map<string, number>();

  /** Takes a notice. @returns the texts to pass on */
  take(text: string, now: number): string[] {
    const texts: string[] = [];
    if (now >= this.windowEndMs) {
      if (this.left > 0) texts.push(`${this.left} more notices of the server were left out`);
      this.windowEndMs = now + WINDOW_MS;
      this.passed = 0;
      this.left = 0;
    }
    if (now - (this.told.get(text) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return texts;
    if (this.passed >= MAX_IN_WINDOW) {
      this.left++;
      return texts;
    }
    this.passed++;
    if (this.told.size >= MAX_REMEMBERED) this.told.clear();
    this.told.set(text, now);
    texts.push(text);
    return texts;
  }
}

const LAG_WINDOW_MS = 5_000;
/** In fewer packets, a share says little. */
const MIN_PACKETS = 200;
const BEHIND_SHARE = 0.5;
/** Looks at the memory for chunks of which more than this share found it full. */
const CROWDED_SHARE = 0.2;

interface StreamCounts {
  readonly packetsLost: number;
  readonly blocksReceived: number;
}

/**
 * Notices that the stream leaves this client behind, and why: the server slows down for no single
 * machine, unless it is told to. What is missed comes in later passes.
 */
export class LagWatch {
  private sinceMs = Number.NEGATIVE_INFINITY;
  private lost = 0;
  private received = 0;
  private looks = 0;
  private crowdedLooks = 0;
  private readonly told = new Set<string>();

  /**
   * Looks at what came since the last time.
   * @param isCrowded chunks wait for the disk, and packets for chunks
   * @returns what to tell, once for each reason; else null
   */
  note(counts: StreamCounts, isCrowded: boolean, now: number): string | null {
    this.looks++;
    if (isCrowded) this.crowdedLooks++;
    if (now - this.sinceMs < LAG_WINDOW_MS) return null;
    const lost = counts.packetsLost - this.lost;
    const received = counts.blocksReceived - this.received;
    const isDisk = this.crowdedLooks > CROWDED_SHARE * this.looks;
    const isFirst = this.sinceMs === Number.NEGATIVE_INFINITY;
    this.begin(counts, now);
    const isBehind = lost + received >= MIN_PACKETS && lost > BEHIND_SHARE * (lost + received);
    if (isFirst || !isBehind) return null;
    return this.once(isDisk, Math.round((100 * lost) / (lost + received)));
  }

  private begin({ packetsLost, blocksReceived }: StreamCounts, now: number): void {
    this.sinceMs = now;
    this.lost = packetsLost;
    this.received = blocksReceived;
    this.looks = 0;
    this.crowdedLooks = 0;
  }

  private once(isDisk: boolean, percent: number): string | null {
    const reason = isDisk
      ? 'its disk takes less than is sent'
      : 'its network or its receive buffer loses them (--doctor looks for the cause)';
    if (this.told.has(reason)) return null;
    this.told.add(reason);
    return (
      `this machine is left behind: ${percent} % of the packets of the last seconds did not get ` +
      `here, as ${reason}; it gets the rest in later passes`
    );
  }
}
