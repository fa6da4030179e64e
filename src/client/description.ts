/** What a server says of its image, and whether it can be worked with. */
import { Failure } from '../failure.js';
import { Geometry } from '../image/geometry.js';
import type { ImageDescription } from '../protocol/from-server.js';
import type { ClientProgress, ImageSummary } from './events.js';

/** Whether the numbers of a description can be worked with. */
export function isUsable(description: ImageDescription): boolean {
  const { imageSize, chunkSize, blockSize } = description;
  return (
    Geometry.parse(imageSize, chunkSize) !== null &&
    blockSize >= 16 &&
    Math.ceil(chunkSize / blockSize) <= 65_535
  );
}

/** Whether two descriptions may be of one image, as far as they tell without its id. */
export function areAlike(one: ImageDescription, other: ImageDescription): boolean {
  return (
    one.imageSize === other.imageSize &&
    one.chunkSize === other.chunkSize &&
    one.name === other.name
  );
}

/** @throws Failure when the server sends to another group than the one listened to */
export function checkGroup(description: ImageDescription, group: string, port: number): void {
  if (description.port === port && description.group.toLowerCase() === group.toLowerCase()) return;
  throw new Failure(
    'network',
    'OTHER_GROUP',
    `the server sends to group ${description.group} port ${description.port}; ` +
      `listen there with -g ${description.group} -p ${description.port}`,
  );
}

export function sessionText(session: bigint): string {
  return session.toString(16).padStart(16, '0');
}

export function summaryOf(description: ImageDescription): ImageSummary {
  return {
    session: sessionText(description.session),
    name: description.name,
    sizeBytes: description.imageSize,
    chunkSizeBytes: description.chunkSize,
    chunkCount: Math.ceil(description.imageSize / description.chunkSize),
    blockSizeBytes: description.blockSize,
    mapId: description.mapId?.toString('hex') ?? null,
  };
}

/** Before there is an image to make progress with. */
export function emptyProgress(): ClientProgress {
  return {
    state: 'discovering',
    sizeBytes: 0,
    writtenBytes: 0,
    provenBytes: 0,
    keptBytes: 0,
    differingChunks: 0,
    differingBytes: 0,
    missingChunks: 0,
    chunkCount: 0,
    wireBytes: 0,
    blocksReceived: 0,
    blocksDuplicate: 0,
    packetsLost: 0,
    packetsBad: 0,
    blockRequestsSent: 0,
  };
}
