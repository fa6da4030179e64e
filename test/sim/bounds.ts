/** How many blocks a run may cost. */
import type { SimOptions } from './options.js';

/**
 * Sends that a block needs on average until all of `clients` have it, when each send is lost
 * to each of them with the same chance: the mean of the largest of so many geometric numbers.
 */
export function expectedSends(lossRatio: number, clients: number): number {
  let mean = 0;
  for (let sends = 0, missing = 1; missing > 1e-9; ) {
    mean += missing;
    sends++;
    // The chance that somebody still lacks the block.
    missing = 1 - (1 - lossRatio ** sends) ** clients;
  }
  return mean;
}

/**
 * Times that the image may be sent, in a world with these faults: far more than it should be,
 * far less than a server sends that goes round in circles.
 */
export function mostImages(options: SimOptions): number {
  const { loss, burst, slow, hostile, late, early, clients } = options;
  // Each of these may cost a pass that nobody shares, if it comes when the others are done.
  let passes = 2 + options.crashes + options.serverRestarts + options.partitions;
  if (late > 0) passes++;
  // They look for the server once a second each, which is long beside a small image's pass.
  if (early > 0) passes += 5;
  // An answer may get lost: the client asks again after a second.
  if (loss + burst > 0) passes += 2;
  if (slow > 0) passes += 4;
  // Forged requests are served like others.
  if (hostile > 0) passes += 4;
  return 1.5 * passes * expectedSends(loss + 20 * burst, clients);
}
