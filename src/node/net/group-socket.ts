/**
 * What the sockets of a multicast group are to the programs, whoever carries them out: `linux/`
 * with the C library, `plain/` with Node alone. `open-group.ts` chooses between the two.
 */

import type { Payloads } from '../../server/stream/train.js';
import type { ChosenInterface } from './network-interface.js';

export interface GroupOptions {
  group: string;
  port: number;
  chosen: ChosenInterface;
  ttl: number;
  /** False: plain sockets even where the C library is at hand. */
  offload: boolean;
  /**
   * The process is this run's alone. Only then may a socket put its thread to sleep, look for its
   * own descriptor, or change how errors are made: tricks that would surprise a program around it.
   */
  ownsProcess: boolean;
}

/** Bytes to send: one packet, or a train of them. */
export interface Outgoing {
  bytes: Buffer;
  length: number;
  /** Length of each packet but the last, which may be shorter. */
  packetBytes: number;
  /** Where the payloads lie, when `bytes` has only the headers. */
  payloads: Payloads | null;
}

export interface GroupSender {
  /** What is in use, for messages. */
  readonly transport: string;
  readonly mostTrainBytes: number;
  /** Whether payloads may be left where they lie. */
  readonly gathers: boolean;
  /** No room for more: `done` of the last send tells when there is. */
  readonly isBusy: boolean;
  /** The address that packets come from, as far as it is known. */
  readonly sourceAddress: string;
  /** The bytes may be reused once `done` is called, which may be at once. */
  send(outgoing: Outgoing, done: (error: Error | null) => void): void;
  /** From now on programs on this machine hear what is sent, too. */
  loopBack(): void;
  /** Sends by an interface that may have been made anew, or have other addresses. */
  renew(chosen: ChosenInterface): void;
  /** Tries to do something about sends that fail. @returns what was done, as a clause, or null */
  mend(code: string): string | null;
  close(): void;
}

export interface GroupReceiver {
  /** What is in use, for messages. */
  readonly transport: string;
  /** What the kernel granted. */
  readonly receiveBufferBytes: number;
  /** From now on the stream's packets are `packetBytes` long. */
  expect(packetBytes: number): void;
  /**
   * Looks after the membership in the group.
   * @param isDoubted nothing has come for long: a switch may have forgotten it
   * @returns whether the system had lost it
   */
  tendMembership(chosen: ChosenInterface, isDoubted: boolean): boolean;
  close(): void;
}

/**
 * Packets back to back in `bytes[start, end)`, from `address`. The bytes are only lent.
 * @returns whether there were blocks among them of the stream that is received
 */
export type PacketsHandler = (
  bytes: Buffer,
  start: number,
  end: number,
  address: string,
) => boolean;

export interface GroupHandler {
  onPackets: PacketsHandler;
  /** What was there to read has been handed over. */
  onBatch: () => void;
  /** False leaves packets in the socket, where it can be done. */
  canTake: () => boolean;
  /** What the operator should know, such as reads that fail. */
  onNotice: (text: string) => void;
}
