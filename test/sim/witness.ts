/** Sees everything that happens in a simulated world, and stops it when an invariant breaks. */

import {
  BLOCK_HEADER_BYTES,
  blockOf,
  chunkOf,
  encodingOfKind,
  kindByteOf,
  positionOf,
  Space,
  spaceOfKind,
} from '../../src/protocol/block.js';
import { PacketType, packetLength, packetType } from '../../src/protocol/packet.js';
import { advancePosition } from '../../src/protocol/position.js';
import type { ServerSession } from '../../src/server/session.js';
import type { Agenda } from './agenda.js';
import type { SimImage } from './image.js';
import { commandLine, type SimOptions } from './options.js';

const TRACE_LENGTH = 80;
/**
 * Most control packets on the wire in one second, in both directions, however many clients there
 * are. What goes to the group counts once.
 */
const CONTROL_PER_SECOND = 2500;
/** Of forged packets some are answered, and some make clients ask. */
const CONTROL_PER_HOSTILE = 3;

/** An invariant broke: the message has the options to see it again, and what went before. */
export class SimFailure extends Error {
  override readonly name = 'SimFailure';
}

export class Witness {
  /** Packets of image blocks sent to the group, by all sessions. */
  blocksSent = 0;
  /** Packets of any kind to the group that are not block packets. */
  statusesSent = 0;
  /** Control packets, whoever sent them. */
  controlMessages = 0;
  controlPeakPerSecond = 0;
  private readonly agenda: Agenda;
  private readonly options: SimOptions;
  private readonly trace: string[] = [];
  private readonly positions = new WeakMap<ServerSession, number>();
  /**
   * When each of the last control packets went out: a ring of one more than there may be in a
   * second.
   */
  private readonly controlMs: Float64Array;
  /** Number of the first control packet of the last second. */
  private firstInSecond = 0;

  constructor(agenda: Agenda, options: SimOptions) {
    this.agenda = agenda;
    this.options = options;
    this.controlMs = new Float64Array(
      CONTROL_PER_SECOND + CONTROL_PER_HOSTILE * options.hostile + 1,
    );
  }

  note(who: string, what: string): void {
    this.trace.push(`${this.agenda.now.toFixed(3).padStart(11)}  ${who.padEnd(10)} ${what}`);
    if (this.trace.length > TRACE_LENGTH) this.trace.shift();
  }

  fail(who: string, what: string): never {
    this.note(who, `BROKEN: ${what}`);
    throw new SimFailure(
      `${who}: ${what}\nsee it again with: npm run sim -- ${commandLine(this.options)}\n` +
        `options: ${JSON.stringify(this.options)}\n${this.trace.join('\n')}`,
    );
  }

  check(holds: boolean, who: string, what: string | (() => string)): void {
    if (!holds) this.fail(who, typeof what === 'string' ? what : what());
  }

  /** Does `act` and turns what it throws into a failure with a trace. */
  guard<T>(who: string, act: () => T): T {
    try {
      return act();
    } catch (error) {
      if (error instanceof SimFailure) throw error;
      return this.fail(who, `threw ${(error as Error).stack}`);
    }
  }

  /** A control packet goes out. */
  controlSent(): void {
    const { now } = this.agenda;
    const ring = this.controlMs;
    ring[this.controlMessages++ % ring.length] = now;
    while (ring[this.firstInSecond % ring.length]! <= now - 1000) this.firstInSecond++;
    const inSecond = this.controlMessages - this.firstInSecond;
    if (inSecond <= this.controlPeakPerSecond) return;
    this.controlPeakPerSecond = inSecond;
    const isQuiet = inSecond < ring.length;
    this.check(isQuiet, 'world', () => `over ${ring.length - 1} control packets in one second`);
  }

  /** Every packet to the group is whole, in sequence, and its blocks are the image's. */
  groupSent(
    who: string,
    session: ServerSession,
    train: Buffer,
    image: SimImage,
    blockSizeBytes: number,
  ): void {
    for (let offset = 0; offset < train.length; ) {
      const length = packetLength(train, offset, train.length);
      this.check(length > 0, who, 'sent something that is no packet');
      if (packetType(train, offset) === PacketType.block) {
        this.advance(who, session, positionOf(train, offset));
        this.block(who, train, offset, length, image, blockSizeBytes);
      } else {
        this.statusesSent++;
        const type = packetType(train, offset);
        if (type === PacketType.status || type === PacketType.notice) this.controlSent();
        if (this.options.sealed) {
          if (type === PacketType.zeroRanges || type === PacketType.blockChecks) {
            this.positions.delete(session);
          }
        } else if (type === PacketType.zeroRanges) {
          this.advance(who, session, train.readUInt32BE(offset + 16));
        } else if (type === PacketType.blockChecks) {
          this.advance(who, session, train.readUInt32BE(offset + 20));
        }
      }
      offset += length;
    }
  }

  private advance(who: string, session: ServerSession, position: number): void {
    const expected = this.positions.get(session) ?? position;
    this.check(position === expected, who, `position ${position} after ${expected - 1}`);
    this.positions.set(session, advancePosition(position, 1));
  }

  private block(
    who: string,
    train: Buffer,
    offset: number,
    length: number,
    image: SimImage,
    blockSizeBytes: number,
  ): void {
    if (spaceOfKind(kindByteOf(train, offset)) !== Space.image) return;
    this.blocksSent++;
    if (this.options.sealed) return;
    const chunk = chunkOf(train, offset);
    this.check(!image.isFree(chunk), who, () => `sent a block of chunk ${chunk}, which is free`);
    const start = blockOf(train, offset) * blockSizeBytes;
    const kind = kindByteOf(train, offset);
    const { bytes } = image.encode(chunk, encodingOfKind(kind) === 0 ? 0 : kind & 15);
    const end = start + length - BLOCK_HEADER_BYTES;
    const payload = offset + BLOCK_HEADER_BYTES;
    const isRight =
      end <= bytes.length && train.compare(bytes, start, end, payload, offset + length) === 0;
    this.check(isRight, who, () => `sent a block of chunk ${chunk} that is not the image's`);
  }
}
