/** What a client is told by whoever drives it. */

import type { Digest } from '../image/block-map.js';
import type { Address } from '../protocol/address.js';
import type { ClientIdentity } from '../protocol/identity.js';
import type { PublicKey } from '../trust/minisign.js';
import type { ClientSecrets } from './sealing.js';

export interface ClientConfig {
  /** Random id of this run. */
  client: bigint;
  /** Names the machine and its target: the same in every run there. */
  machine: bigint;
  host: string;
  /** What else the machine tells of itself. */
  identity?: ClientIdentity;
  /** Name of the image wanted, or undefined for the only one. */
  wantedName: string | undefined;
  /** How the map id of the only image that may be taken begins, in hex: 16 digits at least. */
  expect?: string;
  /** Only what the owner of one of these has signed is taken; anything if there is none. */
  trusted?: readonly PublicKey[];
  /** Statements before this time are not taken: as statements write it. */
  newerThan?: string;
  /** Only a stream that is sealed with this key is taken; only an open one if not given. */
  secrets?: ClientSecrets;
  /** Where the operator expects block packets. */
  group: string;
  port: number;
  /** Where servers are asked. */
  serverPort?: number;
  /** The server's host, if the operator named one: no other will do then. */
  serverHost?: string;
  /** Where servers are by default, when the operator named another group or port. */
  elsewhere?: Address;
  /** Quiet timeout. */
  timeoutMs: number;
  /** Fail after this long without a word from the server; Infinity to wait for ever. */
  giveUpMs: number;
  digest: Digest;
  /** Numbers in [0, 1). */
  random: () => number;
}
