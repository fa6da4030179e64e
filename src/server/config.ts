/** What a server is told by whoever drives it. */

import type { BlockMapBuilder } from '../image/block-map.js';
import type { ServerSealing } from './sealing.js';
import type { CompressionEngine, CompressionSetting } from './source/compression.js';
import type { StartRules } from './start-gate.js';

export interface ServerConfig {
  session: bigint;
  name: string;
  /** Bytes of a sector that the image's partition table counts in; 0 when it tells none. */
  sectorSizeBytes?: number;
  /** The address that the stream comes from, as it is now; '' when it is the one that answers. */
  streamAddress?: () => string;
  group: string;
  port: number;
  /** Port of requests, on which other servers are looked for. */
  serverPort: number;
  blockSize: number;
  /** Send position of the first packet; 1 if not given. */
  firstPosition?: number;
  /** What is known of the block map; the driver fills it while the session runs. */
  map: BlockMapBuilder;
  /** Memory for chunks, each at least one chunk long. */
  slots: readonly Buffer[];
  /** Longest train in bytes; one packet when smaller than that. */
  mostTrainBytes: number;
  /** Leave payloads where they lie, for a sender that gathers them at once; false if not given. */
  gathers?: boolean;
  /** Bytes of UDP payload per millisecond; Infinity for no ceiling. */
  ceilingBytesPerMs: number;
  /** Pause after every packet, for debugging. */
  delayMs: number;
  waitForSlow: boolean;
  /** What starts the stream; at once if not given. */
  start?: StartRules | null;
  compression: {
    setting: CompressionSetting;
    /** Null where zstd cannot be had. */
    engine: CompressionEngine | null;
    /** What the interface carries; null when unknown. */
    linkBytesPerMs: number | null;
  };
  /** Whether an address is this host's own: each client there counts. None is if not given. */
  isOwnAddress?: (address: string) => boolean;
  /** With a key: all that leaves is sealed with it. */
  sealing?: ServerSealing | null;
  /** How many chunks may be read at once only to learn what they are. */
  readers: () => number;
  /** How many processor cores are idle; Infinity where that cannot be told. */
  idleCores: (now: number) => number;
}
