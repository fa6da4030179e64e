/**
 * The image as a strip of cells, each of which stands for a run of chunks: what the fleet page
 * draws. Of a large image some chunks of each cell are looked at: a picture, not a proof.
 */

/** What a cell shows, by what weighs most in it. */
const Cell = {
  /** Nobody asked for it yet. */
  untouched: '.',
  /** The image has zeros there. */
  zeros: '0',
  sent: 's',
  pending: 'p',
  /** It was sent, and somebody lacks it still. */
  again: 'a',
  unreadable: 'u',
} as const;

export interface ChunkFacts {
  chunkCount: number;
  isUnreadable(chunk: number): boolean;
  isPending(chunk: number): boolean;
  wasSent(chunk: number): boolean;
  isZero(chunk: number): boolean;
}

/** Chunks of one cell that are looked at. */
const MAX_LOOKS = 32;

/** @param mostCells how long the strip may be. @returns a character of `Cell` for each cell */
export function chunkCells(facts: ChunkFacts, mostCells: number): string {
  const { chunkCount } = facts;
  const cells = Math.min(chunkCount, mostCells);
  let strip = '';
  for (let cell = 0; cell < cells; cell++) {
    const first = Math.floor((cell * chunkCount) / cells);
    const end = Math.floor(((cell + 1) * chunkCount) / cells);
    strip += cellOf(facts, first, end);
  }
  return strip;
}

/** Trouble before work to do, and that before what is done. */
function cellOf(facts: ChunkFacts, first: number, end: number): string {
  const step = Math.max(1, (end - first) / MAX_LOOKS);
  let isPending = false;
  let isAgain = false;
  let wasSent = false;
  let areZeros = true;
  for (let at = first; at < end; at += step) {
    const chunk = Math.floor(at);
    if (facts.isUnreadable(chunk)) return Cell.unreadable;
    const isSent = facts.wasSent(chunk);
    if (facts.isPending(chunk) && isSent) isAgain = true;
    else isPending ||= facts.isPending(chunk);
    wasSent ||= isSent;
    areZeros &&= facts.isZero(chunk);
  }
  if (isPending) return Cell.pending;
  if (isAgain) return Cell.again;
  if (areZeros) return Cell.zeros;
  return wasSent ? Cell.sent : Cell.untouched;
}
