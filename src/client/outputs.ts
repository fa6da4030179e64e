/** What the client's machine asks of whoever drives it, and what it is told in return. */

import type { Failure } from '../failure.js';
import type { Address } from '../protocol/address.js';
import type { EncodingId } from '../protocol/block.js';
import type { ImageDescription } from '../protocol/from-server.js';
import type { Run } from '../protocol/run.js';
import type { ClientEvent } from './events.js';
import type { ChunkSeal } from './sealing.js';

/** A datagram to send. */
export interface Transmit {
  kind: 'transmit';
  bytes: Buffer;
  /** Null: to wherever servers are looked for. */
  to: Address | null;
}

/** Something to put on the target. What comes of it goes to `handleStored`. */
export type StoreOrder =
  | {
      kind: 'store';
      chunk: number;
      /** Memory that holds the encoded chunk. */
      slot: number;
      encodedLength: number;
      encoding: EncodingId;
      /** With what it was sealed; null for not at all. */
      seal: ChunkSeal | null;
      offsetBytes: number;
      lengthBytes: number;
      /** When known, nothing that has another digest may be written. */
      expected: Buffer | null;
    }
  | {
      /** Read what the target holds of a chunk into memory: most of it may be right. */
      kind: 'load';
      chunk: number;
      slot: number;
      offsetBytes: number;
      lengthBytes: number;
      /** What is read is sealed in memory, as it would travel; null for not at all. */
      seal: ChunkSeal | null;
    }
  | {
      kind: 'store-zeros';
      /** No file system uses what is there: it is to be discarded, or wiped. */
      isFree: boolean;
      first: number;
      count: number;
      offsetBytes: number;
      lengthBytes: number;
    };

export type StoreOutcome =
  | { kind: 'stored'; digest: Uint8Array }
  | { kind: 'loaded' }
  /** It was not what it should be: a broken frame, or not the expected digest; or not readable. */
  | { kind: 'refused' };

/** Something to read on the target. What comes of it goes to `handleChecked`. */
export interface CheckOrder {
  kind: 'check';
  first: number;
  /** More than one only where all of them should be zeros. */
  count: number;
  offsetBytes: number;
  lengthBytes: number;
  /** Past the system's cache: what the disk itself gives back. */
  isDirect: boolean;
}

/** What was found: a digest, null for nothing but zeros, or that it could not be read. */
export type CheckOutcome = { kind: 'found'; digest: Uint8Array | null } | { kind: 'unreadable' };

/** What the driver found out about the target, once it is open. */
export interface Target {
  /** Memory for chunks, each at least one chunk long. */
  slots: readonly Buffer[];
  /** Memory for packets that come while all chunk memory waits for the disk. */
  stashBytes: number;
  /** The target reads as zeros wherever nothing was written. */
  isBlank: boolean;
  /** What no file system uses is not left as it is: orders say where that is. */
  clearsFree?: boolean;
  receiveBufferBytes: number;
  /** It may hold some of the image: look there before asking. */
  holdsEarlierData?: boolean;
  /** Compare it with the image, and ask for no block of it. Implies `holdsEarlierData`. */
  isCheckOnly?: boolean;
  /** The copy is read back once it is proven and synced. */
  willVerify?: boolean;
}

/** The steps of a run that the driver takes, each when the one before it is done. */
export type ClientStep =
  /** A server is chosen: open the target for its image, and answer with `handleOpened`. */
  | { kind: 'open'; description: ImageDescription }
  /**
   * The copy is proven, and is to be read back: bring it to the disk, see to it that direct
   * checks read the disk itself, and answer with `handleSynced`.
   */
  | { kind: 'sync' }
  /** The copy is proven: bring it to the disk, give it its name, answer with `handleFinished`. */
  | { kind: 'finish' }
  /**
   * Of a target that is only checked, all is compared: these chunks differ. Answer with
   * `handleFinished`.
   */
  | { kind: 'compared'; differing: readonly Run[] };

export type ClientOutput =
  | StoreOrder
  | CheckOrder
  | Transmit
  | { kind: 'event'; event: ClientEvent }
  | ClientStep
  /** Nothing more will come. @param failure why there is no copy, or null */
  | { kind: 'end'; failure: Failure | null }
  /** Nothing more until then, in ms on the caller's clock, or before something is handed in. */
  | { kind: 'wait'; untilMs: number };

/** What the parts of the machine have to say, in order, and whether one of them has given up. */
export class Outbox {
  private readonly packets: Transmit[] = [];
  private readonly events: ClientEvent[] = [];
  private end: Failure | null = null;

  /** Why the client cannot go on, or null. */
  get failure(): Failure | null {
    return this.end;
  }

  /** The client cannot go on. Whoever says so first has the word. */
  fail(failure: Failure): void {
    this.end ??= failure;
  }

  /** @param to null for wherever servers are looked for */
  send(bytes: Buffer, to: Address | null): void {
    this.packets.push({ kind: 'transmit', bytes, to });
  }

  tell(event: ClientEvent): void {
    this.events.push(event);
  }

  /** @param text what people should know; null for nothing */
  notice(text: string | null): void {
    if (text !== null) this.events.push({ type: 'notice', text });
  }

  pollPacket(): Transmit | undefined {
    return this.packets.shift();
  }

  pollEvent(): ClientEvent | undefined {
    return this.events.shift();
  }
}
