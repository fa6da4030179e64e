/**
 * What crosses the wire for a copy that is partly there: what is missing, and next to nothing else.
 */

import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { labTest } from '../lab/lab.js';
import { blocksOfChunks } from '../lab/passes.js';
import type { ClientProgram, ServerProgram } from '../lab/programs.js';
import { overwrite } from './damage.js';
import { Tally } from './tally.js';

const mebibyte = 1 << 20;
const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

/** The image's own blocks, without those of its map. */
function imageBlocks(client: ClientProgram): number {
  const { image } = client.last('server-found');
  return blocksOfChunks(image, image.chunkCount);
}

/** What a server sent to the group, as shares of the image: blocks, and bytes with all headers. */
function sharesSent(server: ServerProgram, client: ClientProgram): [number, number] {
  const { progress, wireBytes, imageBytes } = server.last('ended');
  return [progress.blocksSent / imageBlocks(client), wireBytes / imageBytes];
}

labTest('both killed at 50 %: at most 55 % is sent again', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 32 * mebibyte);
  const options = ['-f', image, '--rate', '80M', '--exit-after', '1'];
  const first = [lab.startServer(options), lab.startClient(2)] as const;
  const [, killed] = first;
  await killed.waitFor('server-found');
  const { progress } = await killed.waitFor(
    'progress',
    (event) => event.progress.blocksReceived >= imageBlocks(killed) / 2,
  );
  for (const program of first) program.kill('SIGKILL');
  await Promise.all(first.map((program) => program.exited));
  tally.faults += 1;

  const client = lab.startClient(2);
  const server = lab.startServer(options);
  await Promise.all([client.waitStatus(0), server.waitStatus(0)]);
  tally.compare(lab.copyPath(2), image);
  const had = progress.blocksReceived / imageBlocks(killed);
  const [blocks, bytes] = sharesSent(server, client);
  tally.print('resume', `had ${percent(had)}, sent again ${percent(blocks)} of the blocks`);
  assert.ok(blocks <= 0.55, `${percent(blocks)} of the blocks`);
  // The kill may have come late, when less was left: that is no merit.
  assert.ok(blocks <= 1 - had + 0.05, `had ${percent(had)}, sent ${percent(blocks)}`);
  assert.ok(bytes <= (1 - had + 0.05) * 1.03, `${percent(bytes)} of the bytes`);
});

labTest('1 % of the chunks changed: at most 1.3 % is sent', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 200 * chunkSizeBytes);
  copyFileSync(image, lab.copyPath(2));
  // One byte each: a chunk differs, or it does not.
  for (const chunk of [17, 163]) overwrite(image, chunk * chunkSizeBytes + 99_999, 1);
  const client = lab.startClient(2, ['--resume']);
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  await Promise.all([client.waitStatus(0), server.waitStatus(0)]);
  tally.compare(lab.copyPath(2), image);
  const [blocks, bytes] = sharesSent(server, client);
  tally.print('delta', `sent ${percent(blocks)} of the blocks, ${percent(bytes)} of the bytes`);
  assert.ok(blocks <= 0.013, `${percent(blocks)} of the blocks`);
  assert.ok(bytes <= 0.013, `${percent(bytes)} of the bytes`);
});

labTest('an exact copy: no block of the image is sent', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 32 * mebibyte + 17);
  copyFileSync(image, lab.copyPath(2));
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  const client = lab.startClient(2, ['--resume']);
  await Promise.all([client.waitStatus(0), server.waitStatus(0)]);
  tally.compare(lab.copyPath(2), image);
  const { progress } = client.last('proven');
  assert.equal(progress.keptBytes, 32 * mebibyte + 17);
  assert.equal(progress.differingChunks, 0);
  assert.equal(progress.blocksReceived, 0);
  const { wireBytes, progress: sent } = server.last('ended');
  tally.print('exact copy', `${sent.blocksSent} blocks sent, ${wireBytes} bytes with the map`);
  assert.equal(sent.blocksSent, 0);
  // All that crosses the wire is the map: 32 bytes for each chunk, and a status now and then.
  assert.ok(wireBytes < 0.001 * progress.sizeBytes, `${wireBytes} bytes`);
});
