/** What the programs can be asked for, and what they do unasked. */

import { MAX_TEXT_BYTES } from '../protocol/identity.js';
import type { WebPlace } from './web/web-server.js';

export const DEFAULT_GROUP = '225.0.20.10';
/** Where the group's packets go. */
const DEFAULT_PORT = 16_000;
/** Where servers take requests. */
export const DEFAULT_SERVER_PORT = 7500;
/** Of a client's label, in UTF-8. */
export const MAX_LABEL_BYTES = MAX_TEXT_BYTES;

export interface NetworkOptions {
  /** Multicast group, IPv4 or IPv6. */
  group: string;
  /** A file with the key that all that travels is sealed with; undefined for none. */
  keyFile: string | undefined;
  /** UDP port of the group's block packets. */
  port: number;
  /** Interface name or one of its addresses; undefined lets the system choose. */
  interface: string | undefined;
  ttl: number;
  /** Path MTU in bytes (IP packet size), or 'auto' for the interface's. */
  mtu: number | 'auto';
  /** False: plain sockets even where segmentation offload is there. */
  offload: boolean;
  /**
   * False: other parts of this process have lives of their own, so no socket may put its thread to
   * sleep, or change what is the whole process's. By default the process is the run's alone.
   */
  ownsProcess?: boolean;
}

export interface ServerOptions extends NetworkOptions {
  /** The image: a file or a block device. */
  file: string;
  /** Serve a compressed image as it is, instead of what it contains. */
  asIs: boolean;
  /** Serve a source that somebody may write to, and whole what was not left in order. */
  force: boolean;
  /** Leave out what no file system uses. */
  usedOnly: boolean;
  serverPort: number;
  /** Pause between packets, for debugging; 0 for none. */
  delayMs: number;
  /** Ceiling in bits of UDP payload per second; undefined for none. */
  rateBitsPerSecond: number | undefined;
  /** Leave when this many machines hold proven copies, or are gone without. */
  exitAfter: number | undefined;
  /** A machine without a copy that is not heard of for so long is gone. */
  goneAfterMs: number;
  /** Send nothing before so many clients are here. */
  waitFor: number | undefined;
  /** Send nothing before so long after the first client came. */
  waitMs: number | undefined;
  /** Send nothing before this time, in milliseconds since 1970. */
  startAtMs: number | undefined;
  /** Send nothing before the operator says so. */
  hold: boolean;
  /** The Enter key starts what waits. */
  startsOnEnter: boolean;
  /** Of the program, for the fleet page. */
  version: string | undefined;
  /** Where the fleet page is; undefined for none. */
  web: WebPlace | undefined;
  /** File that gets a row for each client as it ends: .csv or .jsonl. */
  report: string | undefined;
  /** File with the names or MACs of the machines that are expected, one a line. */
  expectClients: string | undefined;
  /** What to do about clients far slower than the others. */
  slowClients: 'leave' | 'wait';
  /** Level of compression, 1 to 19; auto for what cores and network allow. */
  compression: 'auto' | 'off' | number;
  /** Keep and use `FILE.blockmap`. */
  cache: boolean;
  /** Make the block map and leave. */
  prepareOnly: boolean;
  /** Also start machines from the network; null: no. */
  netboot: NetbootOptions | null;
  /** Make a key in this file and leave; undefined for not. */
  newKey: string | undefined;
}

export interface NetbootOptions {
  /** What `npm run live` has made. */
  folder: string;
  /** IPv4 addresses to give to machines; null where another server gives them. */
  dhcpRange: readonly [first: string, last: string] | null;
  /** Machines overwrite their disks without asking. */
  isUnattended: boolean;
  /** More words for the kernel's command line. */
  extraWords: string;
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
  /** Map id of the only image to take, in hex: the first 16 of its digits at least. */
  expect: string | undefined;
  /** Take only what the owner of one of these keys of minisign has signed: files, or keys. */
  trust: readonly string[];
  /** With `trust`: take no statement from before this time, as statements write it. */
  newerThan: string | undefined;
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
  /** On devices, discard what nothing uses, and zeros where they are sure to read as such. */
  discard: boolean;
  /** Make zeros of what no file system uses, instead of leaving it as it is. */
  wipeFree: boolean;
  /** Say what would be done; write nothing. */
  dryRun: boolean;
  /** Before a device is overwritten: time for whoever watches to think better of it. */
  countdownSeconds: number;
  /** Start anew when the server serves another image. */
  follow: boolean;
  /** On a larger disk, move the second GPT to its end once the copy is proven. */
  fit: boolean;
  /** Run by /bin/sh once the copy is proven; undefined for nothing. */
  thenCommand: string | undefined;
  /** What the operator calls this machine: the first MAX_LABEL_BYTES of it are told. */
  label: string | undefined;
  /** Of the program, for the server's display. */
  version: string | undefined;
}

export const NETWORK_DEFAULTS: NetworkOptions = {
  group: DEFAULT_GROUP,
  port: DEFAULT_PORT,
  interface: undefined,
  ttl: 1,
  mtu: 'auto',
  offload: true,
  keyFile: undefined,
};

export const SERVER_DEFAULTS: Omit<ServerOptions, 'file'> = {
  ...NETWORK_DEFAULTS,
  asIs: false,
  force: false,
  usedOnly: false,
  serverPort: DEFAULT_SERVER_PORT,
  delayMs: 0,
  rateBitsPerSecond: undefined,
  exitAfter: undefined,
  goneAfterMs: 300_000,
  waitFor: undefined,
  waitMs: undefined,
  startAtMs: undefined,
  hold: false,
  startsOnEnter: false,
  version: undefined,
  web: undefined,
  report: undefined,
  expectClients: undefined,
  slowClients: 'leave',
  compression: 'auto',
  cache: true,
  prepareOnly: false,
  netboot: null,
  newKey: undefined,
};

export const CLIENT_DEFAULTS: ClientOptions = {
  ...NETWORK_DEFAULTS,
  output: undefined,
  serverHost: undefined,
  serverPort: DEFAULT_SERVER_PORT,
  timeoutMs: 1000,
  fromPort: undefined,
  image: undefined,
  expect: undefined,
  trust: [],
  newerThan: undefined,
  sparse: true,
  giveUpMs: undefined,
  force: false,
  resume: false,
  check: false,
  verify: false,
  discard: false,
  wipeFree: false,
  dryRun: false,
  countdownSeconds: 0,
  follow: false,
  fit: false,
  thenCommand: undefined,
  label: undefined,
  version: undefined,
};
