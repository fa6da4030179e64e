/**
 * What a client with a key does to all that leaves and all that comes but blocks. One place in and
 * one place out; what comes is taken once.
 */
import type { ImageDescription } from '../protocol/from-server.js';
import { PacketType, packetSession, packetType } from '../protocol/packet.js';
import {
  countOf,
  hasSealedForm,
  openPacket,
  PacketSealer,
  senderOf,
} from '../trust/control-seal.js';
import { ReplayWindow } from '../trust/replay-window.js';
import { ChunkSealer, SEAL_BYTES } from '../trust/seal.js';
import {
  type ControlKeys,
  chunkKeyOf,
  controlKeysOf,
  DOOR_SESSION,
} from '../trust/session-keys.js';

/** Of a chunk that travels sealed: what its seal is made with. */
export interface ChunkSeal {
  chunk: number;
  kindByte: number;
  key: Uint8Array;
}

export interface ClientSecrets {
  /** The operator's key: 32 bytes. */
  secret: Uint8Array;
  /** 12 random bytes, anew at each call. */
  drawNonce: () => Buffer;
}

/** Servers that answer at the door, as far as their answers are told apart. */
const MAX_SENDERS = 256;
/** Keys of a session that is only overheard cost more than a packet: seldom anew. */
const OVERHEAR_MS = 1000;

interface Session {
  id: bigint;
  keys: ControlKeys;
  requests: PacketSealer;
  answers: ReplayWindow;
  group: ReplayWindow;
}

/** How much longer a chunk, or a part of the map, is when it travels. */
export const sealBytesOf = (sealing: ClientSealing | null): number =>
  sealing === null ? 0 : SEAL_BYTES;

export class ClientSealing {
  private readonly door: ControlKeys;
  private readonly doorRequests: PacketSealer;
  private readonly doorAnswers = new Map<number, ReplayWindow>();
  private current: Session | null = null;
  private overheard: { id: bigint; keys: ControlKeys; atMs: number } | null = null;
  /** Both of the session's chunks; null before one is chosen. */
  private chunkKey: Buffer | null = null;
  chunks: ChunkSealer | null = null;

  constructor(private readonly secrets: ClientSecrets) {
    this.door = controlKeysOf(secrets.secret, DOOR_SESSION);
    this.doorRequests = new PacketSealer(this.door.requests, secrets.drawNonce());
  }

  /** A session is chosen, or its successor. One that has begun already goes on. */
  begin({ session, seal }: ImageDescription): void {
    if (this.current?.id === session || seal == null) return;
    const { secret, drawNonce } = this.secrets;
    const keys = controlKeysOf(secret, session);
    const group = new ReplayWindow();
    group.begin(seal.groupSender, seal.groupCount);
    this.current = {
      id: session,
      keys,
      requests: new PacketSealer(keys.requests, drawNonce()),
      answers: new ReplayWindow(),
      group,
    };
    this.chunkKey = chunkKeyOf(secret, session, seal.streamSalt);
    this.chunks = new ChunkSealer(this.chunkKey);
  }

  /** What a chunk of the session is sealed with; null before one is chosen. */
  chunkSeal(chunk: number, kindByte: number): ChunkSeal | null {
    return this.chunkKey === null ? null : { chunk, kindByte, key: this.chunkKey };
  }

  seal(plain: Buffer): Buffer {
    const isAtDoor =
      packetType(plain, 0) === PacketType.statementRequest ||
      packetSession(plain, 0) === DOOR_SESSION;
    if (isAtDoor) return this.doorRequests.seal(plain);
    if (this.current === null) throw new Error('nobody to speak to');
    return this.current.requests.seal(plain);
  }

  /** Opens an answer to this client alone. @returns null for what is not to be taken */
  openAnswer(bytes: Buffer): Buffer | null {
    if (!hasSealedForm(bytes)) return null;
    const type = packetType(bytes, 0);
    if (type === PacketType.imageDescription || type === PacketType.statement) {
      return this.openAtDoor(bytes);
    }
    const { current } = this;
    if (current?.id !== packetSession(bytes, 0)) return null;
    return take(current.answers, current.keys.answers, bytes);
  }

  private openAtDoor(bytes: Buffer): Buffer | null {
    const sender = senderOf(bytes);
    const known = this.doorAnswers.get(sender);
    const window = known ?? new ReplayWindow();
    const plain = take(window, this.door.answers, bytes);
    if (plain === null || known !== undefined) return plain;
    if (this.doorAnswers.size >= MAX_SENDERS) this.doorAnswers.clear();
    this.doorAnswers.set(sender, window);
    return plain;
  }

  /** Opens a control packet of the group. @returns null for what is not to be taken */
  openGroup(bytes: Buffer): Buffer | null {
    const { current } = this;
    if (current === null || !hasSealedForm(bytes)) return null;
    if (current.id !== packetSession(bytes, 0)) return null;
    return take(current.group, current.keys.group, bytes);
  }

  /** Opens what is heard of the group while no server is chosen: whichever session it is of. */
  overhear(bytes: Buffer, now: number): Buffer | null {
    if (!hasSealedForm(bytes)) return null;
    const id = packetSession(bytes, 0);
    if (this.overheard?.id !== id) {
      if (this.overheard !== null && now - this.overheard.atMs < OVERHEAR_MS) return null;
      this.overheard = { id, keys: controlKeysOf(this.secrets.secret, id), atMs: now };
    }
    return openPacket(this.overheard.keys.group, bytes);
  }
}

function take(window: ReplayWindow, key: ControlKeys['group'], bytes: Buffer): Buffer | null {
  const sender = senderOf(bytes);
  const count = countOf(bytes);
  // Both are in the open: what came before costs nothing.
  if (!window.isNew(sender, count)) return null;
  const plain = openPacket(key, bytes);
  return plain !== null && window.take(sender, count) ? plain : null;
}
