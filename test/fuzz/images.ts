/** The small image that the fuzzed machines have to do with, and its pieces as they travel. */

import {
  BLOCK_HEADER_BYTES,
  Encoding,
  type EncodingId,
  Space,
  type SpaceId,
} from '../../src/protocol/block.js';
import { writeBlockHeader } from '../unit/block-header.js';
import { BLOCK_SIZE, CHUNK_SIZE, contentOf, mapOf } from '../unit/server-driver.js';

export const chunkCount = 12;
export const zeroChunks: readonly number[] = [3, 4, 9];
export const map = mapOf(chunkCount, zeroChunks);
const chunks = Array.from({ length: chunkCount }, (_, chunk) =>
  zeroChunks.includes(chunk) ? Buffer.alloc(CHUNK_SIZE) : contentOf(chunk),
);
export const content = Buffer.concat(chunks);

export interface BlockFields {
  session: bigint;
  space: SpaceId;
  chunk: number;
  block: number;
  position: number;
  encoding?: EncodingId;
  variant?: number;
}

/** What travels for a chunk, a page of the map, or its root; null for what is not there. */
export function bytesFor(space: SpaceId, chunk: number): Buffer | null {
  if (space === Space.image) return chunks[chunk] ?? null;
  if (space === Space.mapRoot) return chunk === 0 ? map.root : null;
  return chunk < map.geometry.pageCount ? map.page(chunk) : null;
}

export function blocksFor(space: SpaceId, chunk: number): number {
  return Math.ceil((bytesFor(space, chunk)?.length ?? 0) / BLOCK_SIZE);
}

export function blockPayload(space: SpaceId, chunk: number, block: number): Buffer {
  const bytes = bytesFor(space, chunk) ?? Buffer.alloc(0);
  return bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
}

/** @param payload what it carries, if that is not what it should */
export function blockPacket(
  fields: BlockFields,
  payload = blockPayload(fields.space, fields.chunk, fields.block),
): Buffer {
  const { encoding = Encoding.raw, variant = 0 } = fields;
  const packet = Buffer.alloc(BLOCK_HEADER_BYTES + payload.length);
  const encodedLength = bytesFor(fields.space, fields.chunk)?.length ?? CHUNK_SIZE;
  writeBlockHeader(packet, 0, { ...fields, encoding, variant, encodedLength }, payload.length);
  payload.copy(packet, BLOCK_HEADER_BYTES);
  return packet;
}
