/** What is known of a machine and its network: all that checks judge by. */
import type { Ruleset } from './ruleset.js';

export type Role = 'client' | 'server';

/** What the operator asked for. */
export interface Wanted {
  role: Role;
  /** Undefined: the system chooses. */
  interface: string | undefined;
  group: string;
  port: number;
  /** Where servers are asked; null when they are looked for by multicast. */
  serverHost: string | null;
  serverPort: number;
  /** The file of the key; null for none. */
  keyFile: string | null;
  /** Of a copy that began: the address of its server; null where none is chosen. */
  chosenServer: string | null;
}

export interface LinkFacts {
  name: string;
  isUp: boolean;
  /** Null where the system does not tell. */
  hasCarrier: boolean | null;
  /** Megabits per second; null where unknown. */
  speedMegabits: number | null;
  duplex: 'full' | 'half' | null;
  /** A card, not something virtual that makes its speed up. */
  isCard: boolean;
  mtuBytes: number;
  /** Of the group's family. */
  addresses: string[];
}

export interface RouteFacts {
  /** The interface that the system would choose for the group. */
  toGroup: string | null;
  /** The interface towards the server, where one is named or found. */
  toServer: string | null;
}

interface PortFacts {
  /** A port that cannot be had, or null. */
  taken: number | null;
  /** The program that has it, as far as that is known. */
  holder: string | null;
  /** The option that chooses another. */
  option: string;
}

/** Something could not be found out, and why. */
export interface Unknown {
  why: string;
}

interface ReversePathFacts {
  /** The higher of the level for all interfaces and for this one: 0, 1 (strict) or 2 (loose). */
  level: number;
  /** Packets that were dropped for that while the doctor listened. */
  droppedCount: number;
}

export interface ServerFacts {
  address: string;
  session: bigint;
  name: string;
  isDoctor: boolean;
  imageSizeBytes: number;
  group: string;
  port: number;
  /** Length of its full packets, as IP packets. */
  packetBytes: number;
}

export interface AskedFacts {
  sent: number;
  answered: number;
}

export interface BridgeFacts {
  name: string;
  snoops: boolean;
  asks: boolean;
}

export interface MtuFacts {
  /** Bytes of the IP packets that the server sends. */
  wantedBytes: number;
  /** The longest that arrived; 0 when none did. */
  passedBytes: number;
}

export interface BurstFacts {
  rateBitsPerSecond: number;
  /** The server was asked for more. */
  isMost: boolean;
  sent: number;
  received: number;
}

/** How a server answers who asks with the key that was given. */
export type KeyFacts = 'same' | 'other' | 'silent';

/** What was learned by packets that went to and fro. */
export interface PathFacts {
  servers: ServerFacts[];
  /** Another interface on which a server answers, where none does on this one; else null. */
  elsewhere: { interface: string; address: string } | null;
  /** A server at the usual group and port, where none answers at those that were given; or null. */
  atUsual: ServerFacts | null;
  /** Addresses that send to the group what is none of ours. */
  strangers: string[];
  unicast: AskedFacts;
  groupOut: AskedFacts;
  groupIn: AskedFacts;
  /** Null where no server was asked with a key. */
  key: KeyFacts | null;
  /** Packets for groups that reached this machine while it asked for answers to the group. */
  groupPacketsIn: number;
  mtu: MtuFacts | null;
  bursts: BurstFacts[];
  /** Doctors of clients that asked this server, by unicast and by multicast. */
  askers: string[];
}

export interface TargetFacts {
  name: string;
  kind: 'file' | 'device';
  /** Bytes that it can take; null where unknown. */
  roomBytes: number | null;
  /** Bytes per second that it reads, at least; null where it was not tried. */
  readBytesPerSecond: number | null;
  isRotating: boolean | null;
}

export interface MachineFacts {
  cores: number;
  freeBytes: number;
  /** koffi: the C library. Null where this machine can have none. */
  hasNative: boolean | null;
  blake3: 'native' | 'wasm';
  zstd: 'node' | 'library' | 'wasm' | null;
}

export interface Facts {
  wanted: Wanted;
  link: LinkFacts | Unknown;
  /** Names of interfaces that could be meant. */
  candidates: string[];
  routes: RouteFacts;
  port: PortFacts;
  firewall: Ruleset | Unknown;
  conntrack: { count: number; most: number } | null;
  reversePath: ReversePathFacts | null;
  /** Null where the system does not tell. */
  isMember: boolean | null;
  /** Whether somebody asked who listens; null where it could not be listened for. */
  querierHeard: boolean | null;
  /** A bridge of this machine that the interface is, or is a port of. */
  bridge: BridgeFacts | null;
  buffer: { grantedBytes: number; wantedBytes: number } | null;
  path: PathFacts | null;
  machine: MachineFacts;
  target: TargetFacts | Unknown | null;
}

export const isKnown = <T extends object>(facts: T | Unknown): facts is T => !('why' in facts);
