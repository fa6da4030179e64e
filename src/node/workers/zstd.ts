/**
 * Zstandard for whole chunks, from whichever implementation is at hand: Node's own (22.15 and
 * later), the system's library, or WebAssembly, which is always there. All write the same
 * format and read each other's frames.
 */
import { debugLog } from '../debug-log.js';
import { minMatchOf } from './zstd-effort.js';
import { claimsLength } from './zstd-frame.js';
import { openZstdLibrary } from './zstd-library.js';

const debug = debugLog('multiserver:zstd');

export type ZstdKind = 'node' | 'library' | 'wasm';

export interface Zstd {
  kind: ZstdKind;
  /**
   * @param level 1 to 19
   * @returns bytes written to `output`, or -1 when they do not fit there
   */
  compress(input: Buffer, output: Buffer, level: number): number;
  /**
   * @param input from anywhere: it is checked before any memory is spent on it
   * @returns whether `input` was one sound frame of exactly `output.length` bytes; `output` is
   *   undefined otherwise
   */
  decompress(input: Buffer, output: Buffer): boolean;
}

/** What an implementation does itself; the check of the frame is common to all. */
export interface ZstdEngine {
  compress(input: Buffer, output: Buffer, level: number): number;
  /** @returns bytes written, or -1; may throw */
  decompress(input: Buffer, output: Buffer): number;
}

/** Best first: no foreign call, then the fastest, then what is always there. */
const KINDS: readonly ZstdKind[] = ['node', 'library', 'wasm'];

const OPENERS: Record<ZstdKind, () => ZstdEngine | null | Promise<ZstdEngine | null>> = {
  node: openNodes,
  library: openZstdLibrary,
  wasm: openWasm,
};

let best: Promise<Zstd | null> | undefined;

/** @returns the best implementation, loaded once in each thread; null where none can be had */
export function loadZstd(): Promise<Zstd | null> {
  best ??= loadZstdOf(KINDS);
  return best;
}

/** @returns the first implementation of those given that can be had, or null */
export async function loadZstdOf(kinds: readonly ZstdKind[]): Promise<Zstd | null> {
  for (const kind of kinds) {
    const engine = await OPENERS[kind]();
    if (engine === null) continue;
    debug('using %s', kind);
    return guarded(kind, engine);
  }
  return null;
}

function guarded(kind: ZstdKind, engine: ZstdEngine): Zstd {
  return {
    kind,
    compress: (input, output, level) => engine.compress(input, output, level),
    decompress(input, output) {
      if (!claimsLength(input, output.length)) return false;
      try {
        return engine.decompress(input, output) === output.length;
      } catch {
        return false;
      }
    },
  };
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
