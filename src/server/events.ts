/** What a server tells whoever watches it: the printers, `--json`, tests, the simulator. */

export interface ServedClient {
  /** 16 hex digits. */
  id: string;
  host: string;
  address: string;
  missingChunks: number;
  provenChunks: number;
  state: 'joined' | 'receiving' | 'proving' | 'done' | 'failed' | 'silent';
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

export type ServerEvent =
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
      transport: string;
    }
  | { type: 'preparing'; ratio: number }
  | { type: 'prepared'; mapId: string; elapsedMs: number; fromCache: boolean }
  | { type: 'client-joined'; client: ServedClient }
  | { type: 'client-done'; client: ServedClient; doneCount: number }
  | { type: 'client-failed'; client: ServedClient; reason: string }
  | { type: 'pass-begun'; pass: number; pendingChunks: number }
  | { type: 'pass-ended'; pass: number }
  | { type: 'notice'; text: string }
  | { type: 'progress'; progress: ServerProgress }
  | { type: 'ended'; progress: ServerProgress; doneCount: number; elapsedMs: number };
