/** How many blocks a run had to send at least, told from what its server reported. */

import type { ImageSummary } from '../../src/client/events.js';
import type { ClientProgram, ServerProgram } from './programs.js';

/** Blocks of the first `chunks` chunks of an image without zero chunks; a part counts as a part. */
export function blocksOfChunks(image: ImageSummary, chunks: number): number {
  const { sizeBytes, chunkSizeBytes, blockSizeBytes, chunkCount } = image;
  const wholeChunks = Math.ceil(chunkSizeBytes / blockSizeBytes);
  if (chunks < chunkCount) return chunks * wholeChunks;
  const lastBytes = sizeBytes - (chunkCount - 1) * chunkSizeBytes;
  return (chunkCount - 1) * wholeChunks + Math.ceil(lastBytes / blockSizeBytes);
}

/**
 * Where the pass stood at a moment, in chunks. Servers report it a few times a second;
 * between two reports it is taken to have moved evenly.
 *
 * @param timeMs milliseconds since 1970
 */
export function cursorAt(server: ServerProgram, timeMs: number): number {
  let before = { timeMs: server.last('serving').timeMs, cursor: 0 };
  for (const { timeMs: atMs, progress } of server.all('progress')) {
    const report = { timeMs: atMs, cursor: progress.cursorChunk };
    if (atMs < timeMs) {
      before = report;
      continue;
    }
    // The pass wrapped in between, or nothing moved.
    if (report.cursor <= before.cursor) break;
    const share = (timeMs - before.timeMs) / Math.max(1, atMs - before.timeMs);
    return before.cursor + share * (report.cursor - before.cursor);
  }
  return before.cursor;
}

/**
 * The least number of blocks that serves clients who all joined during the first pass: the
 * image, and once more the part that the last of them had missed when it found the server.
 *
 * @throws Error when one came later, as this is then no measure
 */
export function leastBlocks(server: ServerProgram, clients: ClientProgram[]): number {
  const later = server.all('progress').find(({ progress }) => progress.pass > 1);
  const missed = clients.map((client) => {
    const { timeMs } = client.last('server-found');
    if (later && timeMs > later.timeMs) throw new Error('a client came after the first pass');
    return cursorAt(server, timeMs);
  });
  const { image } = clients[0]!.last('server-found');
  return blocksOfChunks(image, image.chunkCount) + blocksOfChunks(image, Math.max(...missed));
}
