/**
 * What a server with a key does to all that leaves and all that comes: everything but blocks goes
 * through here, and what comes is taken once.
 */
import { PacketType, packetSession, packetType } from '../protocol/packet.js';
import {
  countOf,
  hasSealedForm,
  openPacket,
  PacketSealer,
  senderOf,
} from '../trust/control-seal.js';
import { ReplayWindow } from '../trust/replay-window.js';
import { ChunkSealer } from '../trust/seal.js';
import {
  type ControlKeys,
  chunkKeyOf,
  controlKeysOf,
  DOOR_SESSION,
} from '../trust/session-keys.js';

/** Drawn anew for each run of a server. */
interface ServerSecrets {
  /** The operator's key: 32 bytes. */
  secret: Uint8Array;
  /** 16 random bytes. */
  streamSalt: Buffer;
  /** First nonces of its sealers: 12 random bytes each. */
  nonces: { answers: Buffer; doorAnswers: Buffer; doorRequests: Buffer; group: Buffer };
}

/** Senders that are remembered, each a run of a client: more than anybody images in one run. */
const MAX_SENDERS = 65_536;

export class ServerSealing {
  readonly streamSalt: Buffer;
  /** Of chunks and parts of the map, for whoever seals them. */
  readonly chunkKey: Buffer;
  readonly chunks: ChunkSealer;
  private readonly door: ControlKeys;
  private readonly keys: ControlKeys;
  private readonly answers: PacketSealer;
  private readonly doorAnswers: PacketSealer;
  private readonly doorRequests: PacketSealer;
  private readonly group: PacketSealer;
  private readonly windows = new Map<number, ReplayWindow>();

  constructor(
    private readonly session: bigint,
    { secret, streamSalt, nonces }: ServerSecrets,
  ) {
    if (session === DOOR_SESSION) throw new RangeError('session 0 is the door');
    this.streamSalt = streamSalt;
    this.chunkKey = chunkKeyOf(secret, session, streamSalt);
    this.chunks = new ChunkSealer(this.chunkKey);
    this.door = controlKeysOf(secret, DOOR_SESSION);
    this.keys = controlKeysOf(secret, session);
    this.answers = new PacketSealer(this.keys.answers, nonces.answers);
    this.doorAnswers = new PacketSealer(this.door.answers, nonces.doorAnswers);
    this.doorRequests = new PacketSealer(this.door.requests, nonces.doorRequests);
    this.group = new PacketSealer(this.keys.group, nonces.group);
  }

  /** With which sender and count the group goes on: what was sealed before is old. */
  get groupSender(): number {
    return this.group.sender;
  }

  get groupCount(): number {
    return this.group.nextCount;
  }

  /** @param isToGroup whether all hear it */
  seal(plain: Buffer, isToGroup: boolean): Buffer {
    if (isToGroup) return this.group.seal(plain);
    switch (packetType(plain, 0)) {
      case PacketType.locked:
        return plain;
      case PacketType.imageDescription:
      case PacketType.statement:
        return this.doorAnswers.seal(plain);
      case PacketType.mapRequest:
        return this.doorRequests.seal(plain);
      default:
        return this.answers.seal(plain);
    }
  }

  /** @returns the plain packet; null for what has no key of ours, and for what came before */
  open(bytes: Buffer): Buffer | null {
    if (!hasSealedForm(bytes)) return null;
    const session = packetSession(bytes, 0);
    const type = packetType(bytes, 0);
    if (type === PacketType.imageDescription) return openPacket(this.door.answers, bytes);
    if (type === PacketType.statementRequest || session === DOOR_SESSION) {
      return openPacket(this.door.requests, bytes);
    }
    if (session !== this.session) return null;
    const sender = senderOf(bytes);
    const window = this.windows.get(sender);
    // A client joins before it says anything else. This is looked at first: it costs nothing.
    if (window === undefined && type !== PacketType.mapRequest) return null;
    if (window !== undefined && !window.isNew(sender, countOf(bytes))) return null;
    const plain = openPacket(this.keys.requests, bytes);
    if (plain === null) return null;
    const taker = window ?? this.newWindow(sender);
    return taker.take(sender, countOf(bytes)) ? plain : null;
  }

  private newWindow(sender: number): ReplayWindow {
    if (this.windows.size >= MAX_SENDERS) {
      this.windows.delete(this.windows.keys().next().value!);
    }
    const window = new ReplayWindow();
    this.windows.set(sender, window);
    return window;
  }
}
