/** Writes a file from front to back, leaving holes where there is nothing but zeros. */
import { ftruncate, write } from 'node:fs';
import { promisify } from 'node:util';
import { isZero } from '../../codec/zeros.js';

const writeAt = promisify(write);
const truncate = promisify(ftruncate);

/** As small as file systems' blocks get large, as large as keeps the writes few. */
const GRAIN_BYTES = 65_536;

export class SparseWriter {
  private readonly fd: number;
  /** Where the next byte goes: bytes taken so far, holes included, when it began at 0. */
  sizeBytes: number;
  /** Bytes that take room on the disk. */
  dataBytes = 0;

  /** @param offsetBytes where it begins */
  constructor(fd: number, offsetBytes = 0) {
    this.fd = fd;
    this.sizeBytes = offsetBytes;
  }

  async write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      // Grains lie at multiples of their size, so that a hole does not depend on the pieces given.
      const room = GRAIN_BYTES - ((this.sizeBytes + at) % GRAIN_BYTES);
      const grain = bytes.subarray(at, at + room);
      if (!isZero(grain)) await this.place(grain, this.sizeBytes + at);
      at += grain.length;
    }
    this.sizeBytes += bytes.length;
  }

  private async place(bytes: Buffer, offsetBytes: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.length - done;
      done += (await writeAt(this.fd, bytes, done, rest, offsetBytes + done)).bytesWritten;
    }
    this.dataBytes += bytes.length;
  }

  /** The file gets its size, which ends in a hole if the content ended in zeros. */
  async finish(): Promise<void> {
    await truncate(this.fd, this.sizeBytes);
  }
}
