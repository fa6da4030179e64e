/** Which chunks of an image are free: what no file system uses from end to end. */
import type { BlockMapBuilder } from './block-map.js';
import type { UsedMap } from './used-map.js';

/**
 * Notes free chunks, of which nothing else is known yet. The first chunk never is one: by it,
 * firmware and boot loaders know a disk.
 */
export function noteFree(map: BlockMapBuilder, used: UsedMap): void {
  const { chunkSizeBytes, chunkCount, sizeBytes } = map.geometry;
  used.forEachUnused(0, sizeBytes, (startBytes, endBytes) => {
    const first = Math.max(1, Math.ceil(startBytes / chunkSizeBytes));
    const end = endBytes >= sizeBytes ? chunkCount : Math.floor(endBytes / chunkSizeBytes);
    if (end > first) map.setFreeRange(first, end - first);
  });
}
