/** How long a train of packets may be. */

/** Segments that every kernel with segmentation offload takes in one train (UDP_MAX_SEGMENTS). */
export const MAX_SEGMENTS = 64;
/** What one UDP datagram may measure. */
const MAX_TRAIN_BYTES = 65_000;

/**
 * Bytes of the longest train of full packets: the server sends most trains so on a quick network,
 * and a kernel that coalesces packets ends with as many of them.
 */
export function maxTrainBytesOf(packetBytes: number): number {
  const fitting = Math.floor(MAX_TRAIN_BYTES / packetBytes);
  return packetBytes * Math.max(1, Math.min(fitting, MAX_SEGMENTS));
}
