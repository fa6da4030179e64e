/** What the server's machine asks of whoever drives it, and what it is told in return. */

import type { Address } from '../protocol/address.js';
import type { ServerEvent } from './events.js';
import type { Payloads } from './stream/train.js';

/** One datagram, or train of them, to send; it lies in the buffer that was handed in. */
export interface Transmit {
  kind: 'transmit';
  length: number;
  /** Length of each packet of a train but the last. */
  packetBytes: number;
  /** Null for the group. */
  to: Address | null;
  /** Where the payloads lie, when the buffer has only the headers; null when it has all. */
  payloads: Payloads | null;
}

/** A chunk to read. What comes of it goes to `handleRead`. */
export interface ReadOrder {
  kind: 'read';
  chunk: number;
  /** Where it goes; -1 where only what it is is of interest: after everything else. */
  slot: number;
  /** Of compression: 0 for none. */
  level: number;
  /** It was sent like this before, and must come out the same: clients hold parts of it. */
  isRepeat: boolean;
  /** It is to come out as it is, with what is unused as zeros. */
  isPlain: boolean;
}

/** What came of a read order. */
export type ReadOutcome =
  | {
      kind: 'data';
      digest: Uint8Array;
      encodedLength: number;
      encoding: 0 | 1;
      variant: number;
    }
  | { kind: 'zero' }
  | { kind: 'failed'; reason: string };

export type ServerOutput =
  | ReadOrder
  | Transmit
  /** All chunks are known. A driver that finds the source unchanged answers with `setMap`. */
  | { kind: 'map-complete' }
  /** The source is not what it was. @param what a clause, "has changed, somewhere in …" */
  | { kind: 'source-changed'; what: string }
  | { kind: 'event'; event: ServerEvent }
  /** Nothing more until then, in ms on the caller's clock, or before something is handed in. */
  | { kind: 'wait'; untilMs: number };
