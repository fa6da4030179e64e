/** What the receiving machine is told of this machine, and of what its operator wants. */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { ClientConfig } from '../client/config.js';
import type { Digest } from '../image/block-map.js';
import type { Address } from '../protocol/address.js';
import { NONCE_BYTES } from '../trust/gcm.js';
import { isIPv6Address } from './net/family.js';
import type { ChosenInterface } from './net/network-interface.js';
import { type ClientOptions, DEFAULT_GROUP, DEFAULT_SERVER_PORT } from './options.js';
import { machineOf } from './system/machine.js';
import { identityOf } from './system/machine-identity.js';
import { readKeyFile, readPublicKey } from './trust-files.js';

/** @throws Failure when a key cannot be read */
export function configOf(
  options: ClientOptions,
  chosen: ChosenInterface,
  digest: Digest,
): ClientConfig {
  const { output, image, group, port, serverHost, serverPort, timeoutMs, giveUpMs } = options;
  const elsewhere = usualPlaceBeside(options, serverHost ?? null);
  return {
    client: randomBytes(8).readBigUInt64BE(),
    machine: machineOf(output),
    host: hostname(),
    identity: identityOf({ ...options, interfaceName: chosen.label }),
    wantedName: image,
    ...vettingOf(options),
    group,
    port,
    serverPort,
    ...(serverHost === undefined ? {} : { serverHost }),
    ...(elsewhere === null ? {} : { elsewhere }),
    timeoutMs,
    giveUpMs: giveUpMs ?? Number.POSITIVE_INFINITY,
    digest,
    random: Math.random,
  };
}

/**
 * Servers are looked for at the usual place as well, by a client that was told of another.
 * @returns the usual group and its port for requests; null when that was given, or a host
 */
export function usualPlaceBeside(
  { group, serverPort }: Pick<ClientOptions, 'group' | 'serverPort'>,
  serverHost: string | null,
): Address | null {
  const isUsual = group === DEFAULT_GROUP && serverPort === DEFAULT_SERVER_PORT;
  if (isUsual || serverHost !== null || isIPv6Address(group)) return null;
  return { address: DEFAULT_GROUP, port: DEFAULT_SERVER_PORT };
}

/** Whose image may be taken, and with which key. @throws Failure when a key cannot be read */
function vettingOf({ expect, trust, newerThan, keyFile }: ClientOptions) {
  const drawNonce = (): Buffer => randomBytes(NONCE_BYTES);
  return {
    ...(keyFile === undefined ? {} : { secrets: { secret: readKeyFile(keyFile), drawNonce } }),
    ...(expect === undefined ? {} : { expect }),
    ...(newerThan === undefined ? {} : { newerThan }),
    trusted: trust.map(readPublicKey),
  };
}
