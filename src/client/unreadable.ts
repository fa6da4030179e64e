/** The end of a copy whose source has places that cannot be read. */
import { Failure } from '../failure.js';
import type { Copy } from './copy.js';

const MOST_RANGES = 16;

/** Names the bytes that the source cannot give. @param consequence a clause for the end */
export function unreadableFailure(copy: Copy, consequence: string): Failure {
  const { geometry } = copy;
  const ranges: string[] = [];
  let more = 0;
  copy.forEachUnreadable((first, count) => {
    const last = first + count - 1;
    const lastByte = geometry.chunkOffset(last) + geometry.chunkLength(last) - 1;
    if (ranges.length < MOST_RANGES) ranges.push(`${geometry.chunkOffset(first)}-${lastByte}`);
    else more++;
    return true;
  });
  const rest = more > 0 ? ` and ${more} more ranges` : '';
  return new Failure(
    'source',
    'UNREADABLE',
    `the server cannot read bytes ${ranges.join(', ')}${rest} of the image; ${consequence}`,
  );
}
