/** All decoders: what is no packet gives null, what is one means the same when it is sent again. */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { BlockMap } from '../../src/image/block-map.js';
import { packetLength } from '../../src/protocol/packet.js';
import { digestOf } from '../digest.js';
import type { Random } from '../sim/random.js';
import { CODECS } from '../unit/protocol-packets.js';
import { mapOf } from '../unit/server-driver.js';
import { mutate } from './mutate.js';
import { type FuzzTarget, packetStep, promise, readStep } from './steps.js';

const samplesEach = 60;

export class DecoderTarget implements FuzzTarget {
  readonly name = 'decoders';
  private readonly sound: Buffer[];

  constructor(random: Random) {
    this.sound = CODECS.flatMap(({ values, encode }) =>
      fc.sample(values, { numRuns: samplesEach, seed: random.below(2 ** 31) }).map(encode),
    );
    // Maps as they are kept in files go through the same mill.
    for (const chunks of [1, 3, 40]) this.sound.push(Buffer.concat(mapOf(chunks, [0]).encode()));
  }

  makeStart(random: Random): string {
    return this.makeStep(random);
  }

  makeStep(random: Random): string {
    const packet = random.pick(this.sound);
    return packetStep('decode', mutate(random, packet, random.pick(this.sound)));
  }

  run(steps: readonly string[]): void {
    for (const step of steps) decodeAll(readStep(step).bytes);
  }
}

function decodeAll(bytes: Buffer): void {
  const length = packetLength(bytes, 0, bytes.length);
  promise(length <= bytes.length, 'a packet ends where its bytes end');
  BlockMap.decode(bytes, digestOf);
  for (const { name, decode, encode } of CODECS) {
    // A decoder takes a whole packet: its header has been looked at before.
    if (length !== bytes.length || length === 0) continue;
    const value = decode(bytes);
    if (value === null) continue;
    const again = decode(encode(value));
    promise(isDeepStrictEqual(again, value), `${name} means the same when sent again`);
  }
}
