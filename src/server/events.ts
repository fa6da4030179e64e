/** What a server tells whoever watches it: the printers, `--json`, tests, the simulator. */

export interface ServedClient {
  /** 16 hex digits. */
  id: string;
  /** The machine and its target, 16 hex digits: the same in every run of a client there. */
  machine: string;
  host: string;
  address: string;
  missingChunks: number;
  provenChunks: number;
  state: 'joined' | 'receiving' | 'proving' | 'syncing' | 'done' | 'compared' | 'failed' | 'silent';
  /** Share of sent packets that did not reach it lately, 0 to 1. */
  lossRatio: number;
  /** False while the rate does not wait for this client. */
  followed: boolean;
}

export interface ServerProgress {
  state: 'idle' | 'sending';
  /** How much of the block map is prepared, 0 to 1. */
  preparedRatio: number;
  chunkCount: number;
  pendingChunks: number;
  /** Next chunk of the pass. */
  cursorChunk: number;
  pass: number;
  blocksSent: number;
  /** UDP payload bytes sent to the group, headers included. */
  wireBytes: number;
  rateBitsPerSecond: number;
  clients: ServedClient[];
  packetsBad: number;
}

/** How chunks are compressed from here on. */
export interface CompressionEvent {
  type: 'compression';
  /** As it was asked for: auto, off, or a level. */
  setting: string;
  /** 0 for none. */
  level: number;
  /** Who compresses; null where zstd is not to be had. */
  engine: 'node' | 'library' | 'wasm' | null;
  /** The same for people. */
  text: string;
}

export type ServerEvent =
  /** Share of the compressed image that is read, and what it contained so far. */
  | { type: 'unpacking'; ratio: number; sizeBytes: number }
  /** `dataBytes` are taken in `folder` until the server ends. */
  | { type: 'unpacked'; name: string; sizeBytes: number; dataBytes: number; folder: string }
  | CompressionEvent
  | {
      type: 'serving';
      path: string;
      name: string;
      sizeBytes: number;
      group: string;
      port: number;
      serverPort: number;
      interface: string;
      blockSizeBytes: number;
      /** As the operator bounds it; null when nobody does. */
      ceilingBitsPerSecond: number | null;
      transport: string;
    }
  | { type: 'preparing'; ratio: number }
  | { type: 'prepared'; mapId: string; elapsedMs: number; fromCache: boolean }
  | { type: 'client-joined'; client: ServedClient }
  | { type: 'client-done'; client: ServedClient; doneCount: number }
  /** A machine that held a copy has its target written anew. */
  | { type: 'client-anew'; client: ServedClient; doneCount: number }
  /** A client with --check found its target equal; it counts for nothing. */
  | { type: 'client-compared'; client: ServedClient }
  /** Told before the server leaves: who is left without a copy. */
  | { type: 'unfinished'; clients: ServedClient[] }
  | { type: 'client-failed'; client: ServedClient; reason: 'failed' | 'left' }
  | { type: 'pass-begun'; pass: number; pendingChunks: number }
  | { type: 'pass-ended'; pass: number }
  | { type: 'notice'; text: string }
  | { type: 'progress'; progress: ServerProgress }
  | {
      type: 'ended';
      progress: ServerProgress;
      doneCount: number;
      elapsedMs: number;
      imageBytes: number;
      /** Sent to the group, headers included. */
      wireBytes: number;
      /** Image bytes moved by a byte on the wire; null when nothing was sent. */
      ratio: number | null;
    };
