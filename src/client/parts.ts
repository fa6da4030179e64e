/** What a receiver is made of, put together; and how far they are, for the server and for people. */
import type { Geometry } from '../image/geometry.js';
import { Asking } from './asking.js';
import { Assembly } from './assembly.js';
import { Copy } from './copy.js';
import { StreamCounters } from './counters.js';
import type { ClientProgress } from './events.js';
import { Intake } from './intake.js';
import { MapFetch } from './map-fetch.js';
import type { ReceiverConfig } from './receiver.js';
import { Storing } from './storing.js';
import { Survey } from './survey.js';

export interface ReceiverParts {
  counters: StreamCounters;
  copy: Copy;
  assembly: Assembly;
  asking: Asking;
  storing: Storing;
  mapFetch: MapFetch;
  survey: Survey;
  intake: Intake;
}

export function makeParts(config: ReceiverConfig, geometry: Geometry): ReceiverParts {
  const { description, target, digest } = config;
  const isCheckOnly = target.isCheckOnly ?? false;
  const holdsEarlierData = isCheckOnly || (target.holdsEarlierData ?? false);
  const keepsDigests = target.willVerify ?? false;
  const counters = new StreamCounters(description.position);
  const usesEarlyPages = holdsEarlierData && !isCheckOnly;
  const copy = new Copy(geometry, digest, { holdsEarlierData, usesEarlyPages, keepsDigests });
  const assembly = new Assembly(target.slots);
  const asking = new Asking(copy, assembly);
  const storing = new Storing(copy, assembly, counters, target.isBlank);
  const mapFetch = new MapFetch(copy);
  const parts = { counters, copy, assembly, asking, storing, mapFetch };
  const survey = new Survey(parts, holdsEarlierData, !isCheckOnly);
  const intake = new Intake(parts, description.blockSize, !isCheckOnly);
  return { ...parts, survey, intake };
}

export function progressOf({ counters, copy, survey }: ReceiverParts): ClientProgress {
  const { wireBytes, blocksReceived, blocksDuplicate, packetsLost } = counters;
  return {
    state: stateOf(copy, survey),
    sizeBytes: copy.geometry.sizeBytes,
    writtenBytes: copy.writtenBytes,
    provenBytes: copy.provenBytes,
    keptBytes: survey.keptBytes,
    differingChunks: survey.differingChunks,
    differingBytes: survey.differingBytes,
    missingChunks: copy.missingCount,
    chunkCount: copy.geometry.chunkCount,
    wireBytes,
    blocksReceived,
    blocksDuplicate,
    packetsLost,
    packetsBad: counters.chunksRefused,
    blockRequestsSent: counters.requestsSent,
  };
}

function stateOf(copy: Copy, survey: Survey): ClientProgress['state'] {
  if (survey.verifying.hasBegun) return 'verifying';
  if (copy.isWhole) return 'proving';
  return copy.uncheckedCount > 0 ? 'checking' : 'receiving';
}
