/**
 * A fuzz case is a list of steps, written as words, so that it can be kept in a file and run
 * again: `group 4d43...`, `wait 20`, `disk`. What the first word means is up to the target.
 */

import type { Random } from '../sim/random.js';

export interface Step {
  verb: string;
  bytes: Buffer;
  /** Milliseconds to wait, or how to start. */
  count: number;
}

export function packetStep(verb: string, bytes: Buffer): string {
  return `${verb} ${bytes.toString('hex')}`;
}

export function waitStep(forMs: number): string {
  return `wait ${forMs}`;
}

export function readStep(line: string): Step {
  const [verb = '', rest = ''] = line.split(' ');
  const isPacket = !['wait', 'disk', 'open'].includes(verb);
  return {
    verb,
    bytes: isPacket ? Buffer.from(rest, 'hex') : Buffer.alloc(0),
    count: isPacket || rest === '' ? 0 : Number(rest),
  };
}

/** Something that is fuzzed. */
export interface FuzzTarget {
  name: string;
  /** The first step of a case. */
  makeStart(random: Random): string;
  /** A step that makes sense more often than not. */
  makeStep(random: Random): string;
  /** @throws whatever is wrong: nothing may be thrown */
  run(steps: readonly string[]): void;
}

/** A promise that did not hold. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

/** @throws BrokenPromise */
export function promise(holds: boolean, what: string): asserts holds {
  if (!holds) throw new BrokenPromise(what);
}
