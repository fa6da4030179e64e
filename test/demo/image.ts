/** The image of the demo: like a disk in use, part noise, part text, part never written. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

const STRIPE_BYTES = 1_000_000;
/** One letter for each stripe, over and over: random, zeros, text. */
const PATTERN = 'rrrrrzzzttrrrrrzzztt';
/** No whole number of blocks or chunks: the end of an image is where copiers go wrong. */
const TAIL_BYTES = 777;

export interface DemoImage {
  sizeBytes: number;
  randomBytes: number;
  zeroBytes: number;
  textBytes: number;
}

/** @returns how much of what went into the file, which must not exist yet */
export async function makeImage(path: string, megabytes: number): Promise<DemoImage> {
  const file = await open(path, 'wx');
  try {
    const image = { sizeBytes: 0, randomBytes: 0, zeroBytes: 0, textBytes: 0 };
    const noise = createCipheriv('aes-128-ctr', randomBytes(16), Buffer.alloc(16));
    const zeros = Buffer.alloc(STRIPE_BYTES);
    for (let stripe = 0; stripe < megabytes; stripe++) {
      switch (PATTERN[stripe % PATTERN.length]) {
        case 'z':
          image.zeroBytes += zeros.length;
          break;
        case 't':
          image.textBytes += await append(file, text(stripe), image.sizeBytes);
          break;
        default:
          image.randomBytes += await append(file, noise.update(zeros), image.sizeBytes);
      }
      image.sizeBytes += STRIPE_BYTES;
    }
    image.randomBytes += await append(file, randomBytes(TAIL_BYTES), image.sizeBytes);
    image.sizeBytes += TAIL_BYTES;
    return image;
  } finally {
    await file.close();
  }
}

async function append(file: FileHandle, bytes: Buffer, offsetBytes: number): Promise<number> {
  await file.write(bytes, 0, bytes.length, offsetBytes);
  return bytes.length;
}

function text(stripe: number): Buffer {
  const line = `stripe ${stripe}: the quick brown fox jumps over the lazy dog\n`;
  return Buffer.alloc(STRIPE_BYTES, line);
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
