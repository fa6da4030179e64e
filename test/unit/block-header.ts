/**
 * Block headers with the session as tests know it: one number. The server keeps its halves at hand.
 */
import { type BlockFields, writeBlockHeader as writeWithHalves } from '../../src/protocol/block.js';
import { highHalf, lowHalf } from '../../src/protocol/packet.js';
import { viewOf } from '../../src/protocol/words.js';

export interface BlockHeader extends BlockFields {
  session: bigint;
}

export function writeBlockHeader(
  bytes: Buffer,
  offset: number,
  header: BlockHeader,
  payloadBytes: number,
): void {
  const { session } = header;
  const [high, low] = [highHalf(session), lowHalf(session)];
  writeWithHalves(viewOf(bytes), offset, high, low, header, payloadBytes);
}
