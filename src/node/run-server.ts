/** A server's run: opens what is to be served, waits for the network, and serves. */

import { closeSync } from 'node:fs';
import { Failure } from '../failure.js';
import type { ServerEvent } from '../server/events.js';
import { refuseDeafHold } from './fleet/enter-key.js';
import { awaitInterface, type ChosenInterface, refuseLargeMtu } from './net/network-interface.js';
import type { ServerOptions } from './options.js';
import { Server } from './server.js';
import { FileImage } from './source/file-image.js';
import { findUsed } from './source/find-used.js';
import { GivenImage } from './source/given-image.js';
import type { ImageSource, ServedImage } from './source/image-source.js';
import { openImage } from './source/open-image.js';
import { prepareImage } from './source/prepare-image.js';
import type { Source } from './source/source.js';
import { stateOf } from './source/source-state.js';
import { loadBlake3 } from './system/blake3.js';
import { makeKeyFile, readKeyFile } from './trust-files.js';

/** Below this, a rate is more likely a slip than meant. */
const LOW_RATE_BITS_PER_SECOND = 1_000_000;

export async function runServer(
  options: ServerOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
  given: ImageSource | null = null,
): Promise<void> {
  signal.throwIfAborted();
  const { keyFile, newKey } = options;
  const tell = (text: string): void => observe({ type: 'notice', text });
  if (newKey !== undefined) {
    makeKeyFile(newKey);
    tell(`a new key is in ${newKey}: give it to multiserver and multiclient with --key`);
    return;
  }
  if (!options.prepareOnly) refuseDeafHold(options);
  const secret = keyFile === undefined ? null : readKeyFile(keyFile);
  if (given !== null && options.usedOnly) throw cannotTellUsed(given.name);
  const source = given === null ? await openImage(options, observe, signal) : null;
  if (source !== null && options.prepareOnly) {
    const image = await fileImageOf(source, options, observe, signal);
    await prepareImage(image, observe, signal).finally(() => image.close());
    return;
  }
  const chosen = await networkFor(options, tell, signal).catch((error) => {
    if (source !== null) closeSync(source.fd);
    throw error;
  });
  const digestOf = await loadBlake3();
  const image =
    source === null
      ? await GivenImage.open(given!)
      : await fileImageOf(source, options, observe, signal);
  tellLowRate(options, image, tell);
  const server = new Server(options, observe, image, chosen, digestOf, secret);
  try {
    await server.open();
    await server.run(signal);
  } finally {
    await server.close();
    image.close();
  }
}

async function networkFor(
  { interface: wanted, group, mtu }: ServerOptions,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<ChosenInterface> {
  const chosen = await awaitInterface(wanted, group, Number.POSITIVE_INFINITY, tell, signal);
  refuseLargeMtu(mtu, chosen);
  return chosen;
}

/** Closes the source when it cannot be served. */
async function fileImageOf(
  source: Source,
  options: ServerOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<FileImage> {
  const tell = (text: string): void => observe({ type: 'notice', text });
  try {
    // First what it is: whatever is found out later is held against that.
    const state = await stateOf(source, options.force, tell, signal);
    return new FileImage(source, state, await findUsed(source, options, observe, signal));
  } catch (error) {
    closeSync(source.fd);
    throw error;
  }
}

function cannotTellUsed(name: string): Failure {
  const text = `what is used of ${name} cannot be told: it is neither a file nor a device`;
  return new Failure('usage', 'USAGE', `${text}; leave usedOnly out`);
}

/** Below a megabit, the letter is more likely to be a slip than meant. */
function tellLowRate(
  { rateBitsPerSecond }: ServerOptions,
  { sizeBytes }: ServedImage,
  tell: (text: string) => void,
): void {
  if (rateBitsPerSecond === undefined || rateBitsPerSecond >= LOW_RATE_BITS_PER_SECOND) return;
  const hours = (sizeBytes * 8) / rateBitsPerSecond / 3600;
  const text = `a rate of ${rateBitsPerSecond} bits per second is very low`;
  tell(`${text}: the image takes up to ${hours.toFixed(1)} hours`);
}
