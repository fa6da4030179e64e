/** What a fault test did and what came of it, for people who read the run. */

import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { ClientProgram, ServerProgram } from '../lab/programs.js';

const stepBytes = 1 << 20;

export class Tally {
  faults = 0;
  copies = 0;
  /** Hostile packets that were sent on purpose. */
  badSent = 0;
  /** Packets that the programs counted as bad; the last word of each. */
  badCounted = 0;
  wrongBytes = 0;

  /** Takes in what a program counted. */
  take(program: ClientProgram | ServerProgram): void {
    for (const event of program.events.toReversed()) {
      if (!('progress' in event)) continue;
      this.badCounted += event.progress.packetsBad;
      return;
    }
  }

  /** Compares a finished copy, byte by byte. @throws AssertionError when any byte is wrong */
  compare(copy: string, image: string): void {
    this.copies += 1;
    const wrong = wrongBytesOf(copy, image);
    this.wrongBytes += wrong;
    assert.equal(wrong, 0, `${copy} has ${wrong} wrong bytes`);
  }

  print(what: string, ...figures: string[]): void {
    const parts = [
      `faults injected ${this.faults}`,
      `copies proven ${this.copies}`,
      `bad packets sent ${this.badSent}`,
      `bad packets counted ${this.badCounted}`,
      `wrong bytes ${this.wrongBytes}`,
      ...figures,
    ];
    process.stdout.write(`${what}: ${parts.join(', ')}\n`);
  }
}

/** Bytes of the image that the copy has otherwise, or not at all. */
function wrongBytesOf(copy: string, image: string): number {
  const sizeBytes = statSync(image).size;
  const files = [copy, image].map((path) => openSync(path, 'r'));
  const buffers = [Buffer.alloc(stepBytes), Buffer.alloc(stepBytes)];
  let wrong = 0;
  try {
    for (let at = 0; at < sizeBytes; at += stepBytes) {
      const want = Math.min(stepBytes, sizeBytes - at);
      const [mine, theirs] = buffers.map((buffer, index) =>
        buffer.subarray(0, readSync(files[index]!, buffer, 0, want, at)),
      );
      if (mine!.equals(theirs!)) continue;
      for (let i = 0; i < want; i++) if (mine![i] !== theirs![i]) wrong += 1;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
  return wrong;
}

/** A whole number from the environment, for longer runs and to repeat one. */
export function numberFrom(variable: string, otherwise: number): number {
  const text = process.env[variable];
  if (text === undefined || text === '') return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${variable} takes a number`);
  return value;
}

/** A run's seed: `FAULT_SEED`, or one that nobody chose. It is printed, to repeat the run. */
export function faultSeed(): number {
  return numberFrom('FAULT_SEED', Math.floor(Math.random() * 2 ** 32));
}
