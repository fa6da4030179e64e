/** Checks of the machine itself: what it computes and writes with. */

import { formatBytes } from '../sizes.js';
import { type Check, ok, unknown, wrong } from './check.js';
import { type Facts, isKnown } from './facts.js';

const MEBIBYTE = 2 ** 20;
/** Chunks in memory, the socket's buffer and Node itself. */
const MIN_FREE_BYTES = 192 * MEBIBYTE;

export function machineChecks(facts: Facts): Check[] {
  const checks = [packagesCheck(facts), machineCheck(facts)];
  if (facts.wanted.role === 'client') checks.push(targetCheck(facts));
  return checks;
}

function packagesCheck({ machine }: Facts): Check {
  const { hasNative, blake3, zstd } = machine;
  const words = [
    hasNative === true ? 'koffi' : 'no koffi (plain datagrams)',
    blake3 === 'native' ? 'native BLAKE3' : 'BLAKE3 as WebAssembly (slower)',
    zstd === null ? 'no zstd' : `zstd of ${zstd === 'wasm' ? 'WebAssembly (slower)' : zstd}`,
  ];
  if (hasNative === false) {
    return wrong('packages', words.join(', '), 'npm install --include=optional koffi');
  }
  return ok('packages', words.join(', '));
}

function machineCheck({ machine: { cores, freeBytes } }: Facts): Check {
  const finding = `${cores} cores, ${Math.round(freeBytes / MEBIBYTE)} MiB of memory free`;
  if (freeBytes >= MIN_FREE_BYTES) return ok('machine', finding);
  return wrong('machine', `${finding}: too little`, 'end other programs, or add memory or swap');
}

function targetCheck({ target, path }: Facts): Check {
  if (target === null) return unknown('target', 'no target is named: add -o NAME');
  if (!isKnown(target)) return unknown('target', target.why);
  const { name, kind, roomBytes, readBytesPerSecond, isRotating } = target;
  const imageBytes = Math.max(0, ...(path?.servers ?? []).map((server) => server.imageSizeBytes));
  const room = roomBytes === null ? 'of unknown size' : `room for ${formatBytes(roomBytes)}`;
  if (roomBytes !== null && roomBytes < imageBytes) {
    const remedy = kind === 'file' ? 'make room, or choose another folder' : 'a larger disk';
    return wrong('target', `${name}: ${room}; the image has ${formatBytes(imageBytes)}`, remedy);
  }
  const kindText =
    isRotating === null ? '' : isRotating ? ', a rotating disk' : ', no rotating disk';
  const speed =
    readBytesPerSecond === null
      ? ''
      : `; reads ${formatBytes(readBytesPerSecond)}/s, and writes hardly faster`;
  return ok('target', `${name}: ${room}${kindText}${speed}`);
}
