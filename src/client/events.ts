/** What a client tells whoever watches it: the printers, `--json`, tests, the simulator. */

export interface ImageSummary {
  /** 16 hex digits. */
  session: string;
  /** The server's own name for the image, not yet made safe as a file name. */
  name: string;
  sizeBytes: number;
  chunkSizeBytes: number;
  chunkCount: number;
  blockSizeBytes: number;
  /** BLAKE3 of the block map's root in hex, or null while the server still prepares the map. */
  mapId: string | null;
}

export interface ClientProgress {
  state:
    | 'discovering'
    | 'waiting'
    | 'checking'
    | 'receiving'
    | 'proving'
    | 'syncing'
    | 'verifying'
    | 'done'
    | 'failed';
  /**
   * How many more clients the server waits for; 0 for its operator or a time, null while none is.
   */
  awaitedClients: number | null;
  sizeBytes: number;
  /** Image bytes that are at their place on the target (proven or not yet). */
  writtenBytes: number;
  /** Image bytes whose digest fits the block map and whose write came back. */
  provenBytes: number;
  /** Of these, bytes that no file system uses: whatever the target has there. */
  freeBytes: number;
  /** Image bytes that the target held already, found by looking before asking. */
  keptBytes: number;
  /** Chunks that were on the target already, but not as the image has them. */
  differingChunks: number;
  differingBytes: number;
  missingChunks: number;
  chunkCount: number;
  /** Bytes of packets from this session, headers included (UDP payload). */
  wireBytes: number;
  blocksReceived: number;
  /** Blocks that were already here. */
  blocksDuplicate: number;
  /** Send positions that never arrived. */
  packetsLost: number;
  /** Packets dropped because they were malformed, foreign or forged. */
  packetsBad: number;
  blockRequestsSent: number;
}

export type ClientEvent =
  /** How much of a file that is allocated first is there, 0 to 1. */
  | { type: 'allocating'; ratio: number }
  | { type: 'listening'; group: string; port: number; interface: string; transport: string }
  | { type: 'server-found'; address: string; image: ImageSummary }
  /** Of the image that is taken: whose signature holds, and the trusted comment in it. */
  | { type: 'image-signed'; keyId: string; comment: string }
  /** A server whose image may not be taken, once for each reason. */
  | {
      type: 'server-passed-over';
      address: string;
      name: string;
      mapId: string | null;
      /** As failures have it. */
      code: string;
      text: string;
    }
  | {
      type: 'target';
      path: string;
      kind: 'file' | 'device';
      description: string;
      /** What is there already is looked at, and used where it fits. */
      resumed: boolean;
      purpose: 'copy' | 'check' | 'dry-run';
    }
  | { type: 'map-known'; mapId: string }
  | { type: 'quiet'; missingChunks: number }
  | { type: 'server-restarted'; session: string }
  | { type: 'notice'; text: string }
  | { type: 'progress'; progress: ClientProgress }
  /** `--check` has looked at everything. */
  | { type: 'checked'; mapId: string; progress: ClientProgress; elapsedMs: number }
  | {
      type: 'proven';
      mapId: string;
      progress: ClientProgress;
      elapsedMs: number;
      /** Image bytes for a byte on the wire; null when none came. */
      ratio: number | null;
    };
