/**
 * What a server has sealed in one session, so that no nonce is ever used for two texts.
 *
 * A chunk is read and sealed anew whenever it is asked for again and left memory since. It should
 * come out the same to the last bit: its content is held against the block map, and its encoding
 * is kept. Here that is made sure of, whatever the disk or the compressor do: no block of a seal
 * leaves before `admit` has said yes to it.
 */
import { TAG_BYTES } from './gcm.js';
import type { SealAddress } from './seal.js';

const CHUNKS_PER_SHEET = 4096;

/** For so many chunks in a row: the header's word of each seal (0 for none), and the tag. */
interface Sheet {
  words: Uint32Array;
  tags: Buffer;
}

/** One register for each space. Memory: 20 bytes a chunk, for runs of which any was sealed. */
export class SealRegister {
  private readonly sheets: (Sheet | undefined)[];

  constructor(private readonly chunkCount: number) {
    this.sheets = new Array(Math.ceil(chunkCount / CHUNKS_PER_SHEET));
  }

  /**
   * Whether a seal may leave: the first of its chunk may, and every one that is the same.
   *
   * One other may: where the chunk went compressed, it may go as it is from now on, and nothing
   * else. That is the way out should a compressor ever make two things of one chunk.
   * @param tag the seal's
   */
  admit(address: SealAddress, tag: Uint8Array): boolean {
    const { chunk } = address;
    if (chunk < 0 || chunk >= this.chunkCount) throw new RangeError(`chunk ${chunk}`);
    const { words, tags } = this.sheetOf(chunk);
    const slot = chunk % CHUNKS_PER_SHEET;
    const word = wordOf(address);
    const known = words[slot]!;
    if (known === word) return isTag(tags, slot, tag);
    if (known !== 0 && (!isRaw(word) || isRaw(known))) return false;
    words[slot] = word;
    tags.set(tag, slot * TAG_BYTES);
    return true;
  }

  private sheetOf(chunk: number): Sheet {
    const number = Math.floor(chunk / CHUNKS_PER_SHEET);
    this.sheets[number] ??= {
      words: new Uint32Array(CHUNKS_PER_SHEET),
      tags: Buffer.alloc(CHUNKS_PER_SHEET * TAG_BYTES),
    };
    return this.sheets[number];
  }
}

/** Never 0: no seal is shorter than its tag. */
const wordOf = ({ sealedBytes, kindByte }: SealAddress): number =>
  ((sealedBytes << 8) | kindByte) >>> 0;

/** Encoding and variant are 0 for what travels as it is. */
const isRaw = (word: number): boolean => (word & 0x3f) === 0;

/** Both are ours and no secret: how long it takes tells nobody anything. */
function isTag(tags: Buffer, slot: number, tag: Uint8Array): boolean {
  return tags.subarray(slot * TAG_BYTES, (slot + 1) * TAG_BYTES).equals(tag);
}
