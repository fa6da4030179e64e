/** What the command lines hand to the programs, already parsed and checked for form. */

export const DEFAULT_GROUP = '225.0.20.10';
/** Where servers take requests. */
export const DEFAULT_SERVER_PORT = 7500;

export interface NetworkOptions {
  /** Multicast group, IPv4 or IPv6. */
  group: string;
  /** UDP port of the group's block packets. */
  port: number;
  /** Interface name or one of its addresses; undefined lets the system choose. */
  interface: string | undefined;
  ttl: number;
  /** Path MTU in bytes (IP packet size), or 'auto' for the interface's. */
  mtu: number | 'auto';
  /** False: plain sockets even where segmentation offload is there. */
  offload: boolean;
}

export interface ServerOptions extends NetworkOptions {
  /** The image: a file or a block device. */
  file: string;
  /** Serve a compressed image as it is, instead of what it contains. */
  asIs: boolean;
  /** Serve a source that somebody may write to. */
  force: boolean;
  serverPort: number;
  /** Pause between packets, for debugging; 0 for none. */
  delayMs: number;
  /** Ceiling in bits of UDP payload per second; undefined for none. */
  rateBitsPerSecond: number | undefined;
  /** Leave when this many clients hold proven copies. */
  exitAfter: number | undefined;
  /** What to do about clients far slower than the others. */
  slowClients: 'leave' | 'wait';
  /** Level of compression, 1 to 19; auto for what cores and network allow. */
  compression: 'auto' | 'off' | number;
  /** Keep and use `FILE.blockmap`. */
  cache: boolean;
  /** Make the block map and leave. */
  prepareOnly: boolean;
}

export interface ClientOptions extends NetworkOptions {
  /** Undefined: the server's name for the image, reduced to a safe base name, in this folder. */
  output: string | undefined;
  /** Undefined: find the server by multicast. */
  serverHost: string | undefined;
  serverPort: number;
  /** Quiet timeout. */
  timeoutMs: number;
  /** Source port of requests; undefined for a random one in 32767-65535. */
  fromPort: number | undefined;
  /** Name of the image wanted, when several are served. */
  image: string | undefined;
  /** False: allocate the whole file first and write zeros too. */
  sparse: boolean;
  /** Fail after this long without a word from the server; undefined to wait for ever. */
  giveUpMs: number | undefined;
  force: boolean;
  /** Use what the target holds already, and ask only for what differs. */
  resume: boolean;
  /** Compare the target with the image; write nothing. */
  check: boolean;
  /** Read the copy back from the disk before it counts as done. */
  verify: boolean;
  /** On devices, discard zeros where the device guarantees that they read as such. */
  discard: boolean;
  /** Say what would be done; write nothing. */
  dryRun: boolean;
  /** Start anew when the server serves another image. */
  follow: boolean;
}
