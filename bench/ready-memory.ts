/**
 * Memory that a virtual machine keeps. What is freed goes back to its host, a whole block of pages
 * at a time, and to get it again takes three times as long as to write it: copies of 2 GiB would
 * cost up to 3 s of processor more or less, by what ran before. So one page of every block is kept,
 * which leaves nothing to give back, and the kernel hands out such pieces before it breaks another
 * block.
 */

import { closeSync, openSync, writeSync } from 'node:fs';
import type { Scratch } from '../test/lab/scratch.js';

/** Half of the smallest block that Linux gives back (`pageblock_order` on x86-64). */
const blockBytes = 1 << 20;
const pageBytes = 4096;

export class ReadyMemory {
  private readonly scratch: Scratch;
  private readyBytes = 0;
  private count = 0;

  constructor(scratch: Scratch) {
    this.scratch = scratch;
  }

  /** Makes sure that so much memory is ready for files. */
  provide(lengthBytes: number): void {
    const missingBytes = lengthBytes - this.readyBytes;
    if (missingBytes <= 0) return;
    const freedPath = this.scratch.path('freed-memory');
    const kept = openSync(this.scratch.path(`kept-memory-${this.count++}`), 'w');
    const freed = openSync(freedPath, 'w');
    try {
      // Pages that are asked for in turn lie side by side.
      for (let done = 0; done < missingBytes; done += blockBytes - pageBytes) {
        writeSync(freed, Buffer.alloc(blockBytes - pageBytes));
        writeSync(kept, Buffer.alloc(pageBytes));
      }
    } finally {
      closeSync(freed);
      closeSync(kept);
      this.scratch.remove(freedPath);
    }
    this.readyBytes = lengthBytes;
  }
}
