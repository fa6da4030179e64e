/** What the server's machine asks of whoever drives it, and what it is told in return. */
import type { Peer } from './clients.js';
import type { Payloads } from './train.js';

/** One datagram, or train of them, to send. */
export interface Transmit {
  length: number;
  /** Length of each packet of a train but the last. */
  packetBytes: number;
  /** Null for the group. */
  to: Peer | null;
  /** Where the payloads lie, when the buffer has only the headers; null when it has all. */
  payloads: Payloads | null;
}

/** A chunk to read into a slot. */
export interface ReadOrder {
  chunk: number;
  slot: number;
  /** For repairs: it must come encoded as clients already hold parts of it. */
  mends: boolean;
}

/** What came of a read order. */
export type ReadOutcome =
  | { kind: 'data'; encodedLength: number; encoding: 0 | 1; variant: number }
  | { kind: 'zero' }
  | { kind: 'failed'; reason: string };
