/** What a server tells whoever watches it: the printers, `--json`, tests, the simulator. */

import type { ClientIdentity } from '../protocol/identity.js';

export type { ClientIdentity } from '../protocol/identity.js';

export interface ServedClient {
  /** 16 hex digits. */
  id: string;
  /** The machine and its target, 16 hex digits: the same in every run of a client there. */
  machine: string;
  host: string;
  /** What its operator calls it; '' for nothing. */
  label: string;
  address: string;
  missingChunks: number;
  provenChunks: number;
  state: 'joined' | 'receiving' | 'proving' | 'syncing' | 'done' | 'compared' | 'failed' | 'silent';
  /** Share of sent packets that did not reach it lately, 0 to 1. */
  lossRatio: number;
  /** False while the rate does not wait for this client. */
  followed: boolean;
  /** Packets of the stream that reached it lately. */
  receivedPacketsPerSecond: number;
}

/** A machine of the fleet, with its latest client. */
export interface FleetMember extends ServedClient {
  identity: ClientIdentity;
  /** The machine holds a proven copy, of this client or of one before it. */
  holdsCopy: boolean;
  /** The operator waits for it no longer. */
  isReleased: boolean;
  /** From when its client came to when it was heard last. */
  elapsedMs: number;
  /** Share of all packets since then that never reached it, 0 to 1. */
  totalLossRatio: number;
  /** How long nothing was heard of it. */
  silentMs: number;
  /** 0 for none; the higher, the sooner its operator should look at it. */
  trouble: number;
  /** Of a client that failed: why, in its own words; '' of any other. */
  reason: string;
}

/** The stream begins to flow, after it was waited for something. */
export interface StartedEvent {
  type: 'started';
  /** Enough clients are here, it was time, or the operator said so. */
  reason: 'clients' | 'time' | 'operator';
  clientCount: number;
}

export interface ServerProgress {
  /** Waiting to be started, paused by the operator, or at work. */
  state: 'waiting' | 'paused' | 'idle' | 'sending';
  /** How many more clients are waited for; 0 for the operator or a time, null while none is. */
  awaitedClients: number | null;
  /** Machines whose clients wait for the image or take it. */
  presentCount: number;
  /** Machines that would be left without a copy if the server ended now. */
  underWayCount: number;
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

/** A partition, and what is used of it. */
export interface UsedPart {
  /** Its number; 0 for a source that has no partitions. */
  partition: number;
  /** As `blkid` names it, or `unknown`. */
  fileSystem: string;
  sizeBytes: number;
  usedBytes: number;
  /** Who told; `whole` where nobody could, and all of it is sent. */
  method: 'partclone' | 'dumpe2fs' | 'btrfs' | 'whole';
  /** Why it is sent whole, as a clause; null when it is not. */
  remark: string | null;
}

/** A machine that holds a copy from before the server was started again. */
export interface CopyHolder {
  host: string;
  address: string;
  identity: ClientIdentity;
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
  /** `--used-only`: partitions that are looked through, and all of them. */
  | { type: 'reading-used'; doneCount: number; partCount: number }
  /** What is to be sent; what lies outside of partitions counts as used. */
  | { type: 'used'; parts: UsedPart[]; usedBytes: number; sizeBytes: number }
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
  /** Where the fleet page is, with the token that it wants, if any. */
  | { type: 'page'; url: string }
  | { type: 'preparing'; ratio: number }
  | { type: 'prepared'; mapId: string; elapsedMs: number; fromCache: boolean }
  /** Nothing is sent until it is started, for so many clients; 0 for the operator or a time. */
  | { type: 'waiting'; awaitedClients: number }
  | StartedEvent
  /** By the operator. */
  | { type: 'paused' }
  | { type: 'resumed' }
  | { type: 'rate-set'; ceilingBitsPerSecond: number | null }
  /** The operator waits for it no longer. */
  | { type: 'client-released'; client: FleetMember }
  /** The operator wants it gone. */
  | { type: 'client-dropped'; client: FleetMember }
  | { type: 'client-joined'; client: FleetMember }
  | { type: 'client-done'; client: FleetMember; doneCount: number }
  /** A machine that held a copy has its target written anew. */
  | { type: 'client-anew'; client: FleetMember; doneCount: number }
  /** A server that was started again: these hold copies of its image from before. */
  | { type: 'copies-kept'; clients: CopyHolder[]; path: string }
  /** A client with --check found its target equal; it counts for nothing. */
  | { type: 'client-compared'; client: FleetMember }
  /** Told before the server leaves: who is left without a copy. */
  | { type: 'unfinished'; clients: FleetMember[] }
  /** Told before the server leaves: all who came for something, and what became of them. */
  | { type: 'summary'; clients: FleetMember[] }
  /** As the operator named them: those that never came, and all that hold no copy. */
  | { type: 'expected'; missing: string[]; lacking: string[] }
  /** It left before it opened its target, as with --dry-run; it counts for nothing. */
  | { type: 'client-looked'; client: FleetMember }
  | { type: 'client-failed'; client: FleetMember; reason: 'failed' | 'left' }
  | { type: 'pass-begun'; pass: number; pendingChunks: number }
  | { type: 'pass-ended'; pass: number }
  | { type: 'notice'; text: string }
  /** What the operator must not overlook. */
  | { type: 'warning'; text: string }
  /** Machines on this network can start. */
  | {
      type: 'netboot';
      address: string;
      serverPort: number;
      /** proxy: beside another DHCP server. */
      mode: 'proxy' | 'dhcp';
      isUnattended: boolean;
    }
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
