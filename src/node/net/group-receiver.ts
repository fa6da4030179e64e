/**
 * Receives from the multicast group, in one of two ways: through the C library, or through Node
 * alone. What comes is the same: packets back to back in a buffer.
 */
import { loadNative } from '../native.js';
import type { GroupOptions } from './group-sender.js';
import type { ChosenInterface } from './network-interface.js';
import { openPlainReceiver } from './plain-receiver.js';
import { openPolledReceiver } from './polled-receiver.js';

export interface GroupReceiver {
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
}

export async function openGroupReceiver(
  options: GroupOptions,
  handler: GroupHandler,
): Promise<GroupReceiver> {
  const native = options.offload ? loadNative() : null;
  return native === null
    ? openPlainReceiver(options, handler)
    : openPolledReceiver(options, handler, native);
}
