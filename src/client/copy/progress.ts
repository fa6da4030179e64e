/** What a client tells whoever watches it of how far it is. */
import type { ClientProgress } from '../events.js';
import type { StreamCounters } from '../reports.js';
import type { ChunkStates } from './chunk-states.js';
import type { TargetChecks } from './target-checks.js';

/** Before there is an image to make progress with. */
export const NO_PROGRESS: Readonly<ClientProgress> = {
  state: 'discovering',
  awaitedClients: null,
  sizeBytes: 0,
  writtenBytes: 0,
  provenBytes: 0,
  freeBytes: 0,
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

function stateOf(states: ChunkStates, checks: TargetChecks): ClientProgress['state'] {
  if (checks.isVerifying) return 'verifying';
  if (states.isWhole) return 'proving';
  return states.uncheckedCount > 0 ? 'checking' : 'receiving';
}

/** How far the copy of one image is. */
export function progressOf(
  states: ChunkStates,
  checks: TargetChecks,
  counters: StreamCounters,
): ClientProgress {
  return {
    ...NO_PROGRESS,
    state: stateOf(states, checks),
    sizeBytes: states.geometry.sizeBytes,
    writtenBytes: states.writtenBytes,
    provenBytes: states.provenBytes,
    freeBytes: states.freeBytes,
    keptBytes: checks.keptBytes,
    differingChunks: checks.differingChunks,
    differingBytes: checks.differingBytes,
    missingChunks: states.missingCount,
    chunkCount: states.geometry.chunkCount,
    wireBytes: counters.wireBytes,
    blocksReceived: counters.blocksReceived,
    blocksDuplicate: counters.blocksDuplicate,
    packetsLost: counters.packetsLost,
    packetsBad: counters.chunksRefused,
    blockRequestsSent: counters.requestsSent,
  };
}
