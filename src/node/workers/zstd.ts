/**
 * Zstandard for whole chunks, from whichever implementation is at hand: Node's own (22.15 and
 * later), the system's library, or WebAssembly, which is always there. All write the same
 * format and read each other's frames.
 */

import { guarded, minMatchOf, type Zstd, type ZstdEngine } from '../../codec/zstd.js';
import { debugLog } from '../system/debug-log.js';
import { openZstdLibrary } from './zstd-library.js';

const debug = debugLog('multiserver:zstd');

export type ZstdKind = 'node' | 'library' | 'wasm';

export interface LoadedZstd extends Zstd {
  kind: ZstdKind;
}

/** Best first: no foreign call, then the fastest, then what is always there. */
const KINDS: readonly ZstdKind[] = ['node', 'library', 'wasm'];

const OPENERS: Record<ZstdKind, () => ZstdEngine | null | Promise<ZstdEngine | null>> = {
  node: openNodes,
  library: openZstdLibrary,
  wasm: openWasm,
};

let best: Promise<LoadedZstd | null> | undefined;

/** @returns the best implementation, loaded once in each thread; null where none can be had */
export function loadZstd(): Promise<LoadedZstd | null> {
  best ??= loadZstdOf(KINDS);
  return best;
}

/** @returns the first implementation of those given that can be had, or null */
export async function loadZstdOf(kinds: readonly ZstdKind[]): Promise<LoadedZstd | null> {
  for (const kind of kinds) {
    const engine = await OPENERS[kind]();
    if (engine === null) continue;
    debug('using %s', kind);
    return { kind, ...guarded(engine) };
  }
  return null;
}

interface NodesZstd {
  zstdCompressSync?: (bytes: Uint8Array, options: object) => Buffer;
  zstdDecompressSync?: (bytes: Uint8Array, options: object) => Buffer;
  constants: { ZSTD_c_compressionLevel?: number; ZSTD_c_minMatch?: number };
}

async function openNodes(): Promise<ZstdEngine | null> {
  // Not loaded in vain.
  if (process.versions.zstd === undefined) return null;
  const zlib = (await import('node:zlib')) as unknown as NodesZstd;
  const { zstdCompressSync, zstdDecompressSync, constants } = zlib;
  const { ZSTD_c_compressionLevel: levelKey, ZSTD_c_minMatch: matchKey } = constants;
  if (!zstdCompressSync || !zstdDecompressSync) return null;
  if (levelKey === undefined || matchKey === undefined) return null;
  return {
    compress(input, output, level) {
      // One piece of output, instead of many small ones to be joined.
      const chunkSize = Math.max(64, output.length);
      const params = { [levelKey]: level, [matchKey]: minMatchOf(level) };
      return place(zstdCompressSync(input, { chunkSize, params }), output);
    },
    decompress(input, output) {
      const lengthBytes = Math.max(64, output.length);
      const options = { chunkSize: lengthBytes, maxOutputLength: lengthBytes };
      return place(zstdDecompressSync(input, options), output);
    },
  };
}

interface WasmZstd {
  init(): Promise<void>;
  compress(bytes: Uint8Array, level: number): Uint8Array;
  decompress(bytes: Uint8Array): Uint8Array;
}

async function openWasm(): Promise<ZstdEngine | null> {
  let wasm: WasmZstd;
  try {
    // Its types name browser things that this project does not know.
    const name: string = '@bokuweb/zstd-wasm';
    wasm = (await import(name)) as WasmZstd;
    await wasm.init();
  } catch (error) {
    debug('no WebAssembly: %s', (error as Error).message);
    return null;
  }
  return {
    compress: (input, output, level) => place(wasm.compress(input, level), output),
    decompress: (input, output) => place(wasm.decompress(input), output),
  };
}

function place(bytes: Uint8Array, output: Buffer): number {
  if (bytes.length > output.length) return -1;
  output.set(bytes);
  return bytes.length;
}
