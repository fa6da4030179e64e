/** What the fleet page and other programs get from a server by HTTP: docs/FLEET.md has it all. */

export interface ClientRow {
  /** 16 hex digits: this run of the client. */
  id: string;
  /** 16 hex digits: the machine and its target. */
  machine: string;
  host: string;
  address: string;
  label: string | null;
  mac: string | null;
  product: string | null;
  serial: string | null;
  diskModel: string | null;
  diskSerial: string | null;
  diskBytes: number | null;
  version: string | null;
  linkBitsPerSecond: number | null;
  isFullDuplex: boolean | null;
  state: 'joined' | 'receiving' | 'proving' | 'syncing' | 'done' | 'compared' | 'failed' | 'silent';
  /** How much of the image it has, 0 to 1. */
  progressRatio: number;
  receivedBitsPerSecond: number;
  lossRatio: number;
  /** Until it has all; null when that cannot be told. */
  leftSeconds: number | null;
  /** The rate waits for it. */
  isFollowed: boolean;
  isReleased: boolean;
  holdsCopy: boolean;
  /** How long nothing was heard of it, in whole seconds. */
  silentSeconds: number;
  /** The higher, the more it needs a look; 0 for none. */
  trouble: number;
  /** Why it failed; null unless it did, and said so. */
  reason: string | null;
}

export interface RunState {
  state: 'waiting' | 'paused' | 'idle' | 'sending';
  /** How many more clients start it; 0 for the operator or a time, null when nothing is held. */
  awaitedClients: number | null;
  presentCount: number;
  doneCount: number;
  /** As many copies as the server leaves after; null when it stays. */
  wantedCount: number | null;
  pass: number;
  pendingChunks: number;
  cursorChunk: number;
  /** How much of the block map is prepared, 0 to 1. */
  preparedRatio: number;
  /** What goes to the group. */
  sentBitsPerSecond: number;
  /** What may. */
  rateBitsPerSecond: number;
  /** What the operator allows; null for all. */
  ceilingBitsPerSecond: number | null;
  /** Until the pass is over; null when that cannot be told. */
  leftSeconds: number | null;
  elapsedSeconds: number;
  wireBytes: number;
  blocksSent: number;
  packetsBad: number;
}

export interface LogEntry {
  /** Counts up; a reader that has seen one passes over it. */
  number: number;
  /** ISO 8601. */
  time: string;
  /** As in docs/JSON.md. */
  event: string;
  /** Host and address, where it is about a client. */
  host?: string;
  address?: string;
  /** What else the event tells. */
  details: Record<string, string | number | null>;
}

export interface FleetState {
  version: string;
  image: {
    name: string;
    path: string;
    sizeBytes: number;
    chunkCount: number;
    /** 64 hex digits; null while the block map is prepared. */
    mapId: string | null;
  };
  network: {
    group: string;
    port: number;
    serverPort: number;
    interface: string;
    blockSizeBytes: number;
    transport: string;
  };
  run: RunState;
  /**
   * A character for each cell of the image: `.` untouched, `0` zeros, `s` sent, `p` pending, `a`
   * sent and pending again, `u` unreadable.
   */
  cells: string;
  clients: ClientRow[];
  /** As the operator named them; null without a list. */
  expected: { count: number; missing: string[]; lacking: string[] } | null;
  /** Seconds since 1970, and what went to the group then. */
  history: { seconds: number[]; bitsPerSecond: number[] };
  log: LogEntry[];
}

/** What has changed since the last one. */
export interface FleetChange {
  run: RunState;
  mapId: string | null;
  /** Absent when they are as they were. */
  cells?: string;
  expected?: FleetState['expected'];
  /** Rows that are new or changed. */
  clients: ClientRow[];
  /** Ids of rows that are gone. */
  gone: string[];
  history: FleetState['history'];
  log: LogEntry[];
}
