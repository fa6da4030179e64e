/** What a client is told by whoever drives it, and what it asks of the driver. */
import type { Digest } from '../image/block-map.js';
import type { ServerAddress } from './server-choice.js';

export interface ClientConfig {
  /** Random id of this run. */
  client: bigint;
  /** Names the machine and its target: the same in every run there. */
  machine: bigint;
  host: string;
  /** Name of the image wanted, or undefined for the only one. */
  wantedName: string | undefined;
  /** Where the operator expects block packets. */
  group: string;
  port: number;
  /** The operator named the server's host. */
  isServerNamed?: boolean;
  /** Where servers are by default, when the operator named another group or port. */
  elsewhere?: ServerAddress;
  /** Quiet timeout. */
  timeoutMs: number;
  /** Fail after this long without a word from the server; Infinity to wait for ever. */
  giveUpMs: number;
  digest: Digest;
  /** Numbers in [0, 1). */
  random: () => number;
}

/** What the driver found out about the target, once it is open. */
export interface Target {
  /** Memory for chunks, each at least one chunk long. */
  slots: readonly Buffer[];
  /** The target reads as zeros wherever nothing was written. */
  isBlank: boolean;
  receiveBufferBytes: number;
  /** It may hold some of the image: look there before asking. */
  holdsEarlierData?: boolean;
  /** Compare it with the image, and ask for no block of it. Implies `holdsEarlierData`. */
  isCheckOnly?: boolean;
  /** The copy will be read back: see `ClientSession.verify`. */
  willVerify?: boolean;
}

/** A datagram to send. */
export interface ClientTransmit {
  bytes: Buffer;
  /** Null: to wherever servers are looked for. */
  to: { address: string; port: number } | null;
}
