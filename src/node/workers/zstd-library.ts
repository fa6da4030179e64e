/** The system's libzstd, through koffi: every Debian has it, since its package manager needs it. */
import { createRequire } from 'node:module';
import { minMatchOf, type ZstdEngine } from '../../codec/zstd.js';

const LIBRARY = 'libzstd.so.1';
const BUFFERS = 'uint8_t *to, size_t capacity, const uint8_t *from, size_t length';

/** Of `ZSTD_cParameter`. */
const COMPRESSION_LEVEL = 100;
const MIN_MATCH = 105;

/** Results above this are error codes: negative numbers in an unsigned type. */
const MAX_RESULT = 2 ** 32;

export function openZstdLibrary(): ZstdEngine | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const library = koffi.load(LIBRARY);
    const compress = library.func(`size_t ZSTD_compress2(void *context, ${BUFFERS})`);
    const setParameter = library.func(
      'size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value)',
    );
    const decompress = library.func(`size_t ZSTD_decompressDCtx(void *context, ${BUFFERS})`);
    const createCompressor = library.func('void *ZSTD_createCCtx()');
    const createDecompressor = library.func('void *ZSTD_createDCtx()');
    // Made for the first chunk, and kept: a thread works on one chunk at a time.
    let compressor: unknown = null;
    let compressorLevel = 0;
    let decompressor: unknown = null;
    return {
      compress(input, output, level) {
        compressor ??= createCompressor();
        if (level !== compressorLevel) {
          compressorLevel = level;
          setParameter(compressor, COMPRESSION_LEVEL, level);
          setParameter(compressor, MIN_MATCH, minMatchOf(level));
        }
        return lengthOf(compress(compressor, output, output.length, input, input.length));
      },
      decompress(input, output) {
        decompressor ??= createDecompressor();
        return lengthOf(decompress(decompressor, output, output.length, input, input.length));
      },
    };
  } catch {
    return null;
  }
}

function lengthOf(result: number | bigint): number {
  return result < MAX_RESULT ? Number(result) : -1;
}
