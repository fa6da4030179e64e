/**
 * What is heard of the server while its image is received: the stream, notices, and its answers to
 * map requests, from which it shows whether it still is what it was.
 */
import { Failure } from '../failure.js';
import {
  decodeNotice,
  type ImageDescription,
  type Notice,
  NoticeCode,
} from '../protocol/from-server.js';
import { PacketType, packetType } from '../protocol/packet.js';
import type { ClientTransmit } from './config.js';
import { sessionText } from './description.js';
import type { ClientEvent } from './events.js';
import { NoticeLimit } from './notice-limit.js';
import type { Patience } from './patience.js';
import type { Receiver } from './receiver.js';
import type { ServerAddress, ServerChoice } from './server-choice.js';

export interface ReceptionParts {
  choice: ServerChoice;
  patience: Patience;
  receiver: Receiver;
  observe: (event: ClientEvent) => void;
  send: (transmit: ClientTransmit) => void;
}

export class Reception {
  /** Why the copy cannot go on, or null. */
  failure: Failure | null = null;
  packetsBad = 0;
  readonly #notices = new NoticeLimit();
  /** The session was heard from another address: whoever serves it is to be asked where it is. */
  #hasMoved = false;
  readonly #parts: ReceptionParts;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** Takes a server's answer to a map request. */
  handleDescription(description: ImageDescription, from: ServerAddress, now: number): void {
    const { choice } = this.#parts;
    const isSameSession = description.session === choice.description?.session;
    if (from.address === choice.server?.address) this.#hearAgain(description, from, now);
    else if (isSameSession && this.#isSame(description)) this.#hearAgain(description, from, now);
    else this.#consider(description, from, now);
  }

  /** Takes a packet of the group that did not come from the server: its address may have changed. */
  handleStranger(bytes: Buffer, offset: number, now: number): void {
    if (!this.#parts.receiver.isOwnSession(bytes, offset)) return;
    this.#hasMoved = true;
    this.#parts.patience.heardForeign(now);
  }

  /** Takes an answer while the client parts: the report is for whoever serves this image now. */
  handleLateDescription(description: ImageDescription, from: ServerAddress, now: number): void {
    const isNew = description.session !== this.#parts.choice.description?.session;
    if (isNew && this.#isSame(description)) this.#rejoin(description, from, now);
  }

  /** The chosen server's answer. */
  #hearAgain(description: ImageDescription, from: ServerAddress, now: number): void {
    const { choice, patience, receiver } = this.#parts;
    patience.heard(now);
    if (description.session !== choice.description?.session) {
      this.#rejoin(description, choice.server!, now);
    } else {
      // Its addresses may have changed.
      choice.renew(description, from);
      this.#hasMoved = false;
      receiver.knowPosition(description.position);
      if (!receiver.knowMap(description.mapId, now)) {
        this.failure = choice.otherImage(description);
      }
    }
  }

  /** Another server's answer. It may be the chosen one's successor, if that is gone. */
  #consider(description: ImageDescription, from: ServerAddress, now: number): void {
    if (!this.#isAlone(now) || !this.#isSame(description)) return;
    this.#parts.patience.heard(now);
    this.#rejoin(description, from, now);
  }

  /** The chosen server never sent anything, or nothing for long: it may be gone for good, or elsewhere. */
  #isAlone(now: number): boolean {
    const { patience, receiver } = this.#parts;
    return !receiver.hasHeard || patience.isForsaken(now);
  }

  #isSame(description: ImageDescription): boolean {
    const { choice, receiver } = this.#parts;
    return choice.isAlike(description) && receiver.agreesWith(description.mapId);
  }

  /** The server was started again: goes on if it serves the same image. */
  #rejoin(description: ImageDescription, server: ServerAddress, now: number): void {
    const { choice, receiver, observe } = this.#parts;
    if (!this.#isSame(description)) {
      this.failure = choice.otherImage(description);
      return;
    }
    choice.renew(description, server);
    receiver.rejoin(description, now);
    observe({ type: 'server-restarted', session: sessionText(description.session) });
  }

  /**
   * Takes a packet that the chosen server sent to the group.
   * @returns whether it was a block packet that was taken: those that continue it may follow
   */
  handlePacket(bytes: Buffer, offset: number, length: number, now: number): boolean {
    const { patience, receiver } = this.#parts;
    const type = packetType(bytes, offset);
    if (!receiver.isOwnSession(bytes, offset)) {
      this.packetsBad++;
      patience.heardForeign(now);
      return false;
    }
    patience.heard(now);
    if (type === PacketType.notice) {
      const notice = decodeNotice(bytes.subarray(offset, offset + length));
      if (notice === null) this.packetsBad++;
      else this.#handleNotice(notice, now);
    } else if (!receiver.take(type, bytes, offset, length, now)) {
      this.packetsBad++;
    } else {
      const isBlock = type === PacketType.block;
      // A server that still makes the map is at work for those that can look at their target only then.
      const isProgress = isBlock || type === PacketType.zeroRanges || receiver.isAwaitingMap;
      if (isProgress) patience.progressed(now);
      if (!receiver.isImageDoubtful) return isBlock;
      receiver.isImageDoubtful = false;
      patience.heardForeign(now);
    }
    return false;
  }

  #handleNotice(notice: Notice, now: number): void {
    if (notice.code === NoticeCode.unreadable) {
      this.#parts.receiver.sourceLacks(notice.first, notice.count, now);
    }
    if (notice.code !== NoticeCode.sourceChanged) {
      for (const text of this.#notices.take(notice.text, now)) {
        this.#parts.observe({ type: 'notice', text });
      }
      return;
    }
    const text = `the server's image changed: ${notice.text}`;
    this.failure = new Failure('source', 'SOURCE_CHANGED', text);
  }

  /** Asks again where the channel is quiet, and whether the server still is what it was. */
  handleTimeout(now: number): void {
    const { choice, patience, receiver, observe, send } = this.#parts;
    if (patience.isQuiet(now) && receiver.isWaiting) {
      observe({ type: 'quiet', missingChunks: receiver.progress().missingChunks });
      receiver.askAgain(now);
    }
    if (patience.takeRediscovery(now)) {
      const to = this.#hasMoved || this.#isAlone(now) ? null : choice.server;
      send({ bytes: choice.newRequest(), to });
    }
  }
}
