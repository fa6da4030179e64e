/**
 * The server's machine: whatever arrives, it does not throw, sends nothing but the image as it is,
 * answers no more than it is asked, and once the forger is gone an honest client is served.
 */

import {
  BLOCK_HEADER_BYTES,
  blockOf,
  chunkOf,
  kindByteOf,
  Space,
  type SpaceId,
  spaceOfKind,
} from '../../src/protocol/block.js';
import {
  type ClientStateId,
  encodeBlockRequest,
  encodeMapRequest,
  encodeReport,
} from '../../src/protocol/from-client.js';
import { decodeImageDescription, decodeZeroRanges } from '../../src/protocol/from-server.js';
import type { Random } from '../sim/random.js';
import { CLIENT, PEER, SESSION, type Sent, ServerDriver } from '../unit/server-driver.js';
import { blockPayload, blocksFor, chunkCount, zeroChunks } from './images.js';
import { mutate } from './mutate.js';
import { number, runs } from './numbers.js';
import { type FuzzTarget, packetStep, promise, readStep, waitStep } from './steps.js';

const stranger = { address: '10.6.6.6', port: 666 };
const honest = { id: 99n, peer: { address: '10.0.0.99', port: 41_000 } };
const healMs = 20_000;
const askEveryMs = 200;

export class ServerTarget implements FuzzTarget {
  readonly name = 'server';

  makeStart(random: Random): string {
    return `open ${random.below(2)}`;
  }

  makeStep(random: Random): string {
    if (random.chance(0.2)) return waitStep(random.pick([1, 1, 3, 3, 20, 20, 150]));
    // Long enough to be forgotten, to have tokens again, to count as silent.
    if (random.chance(0.01)) return waitStep(random.pick([1500, 12_000]));
    if (random.chance(0.05)) return 'disk';
    const sound = clientPacket(random);
    const packet = random.chance(0.65) ? sound : mutate(random, sound, clientPacket(random));
    return packetStep(random.pick(['client', 'client', 'client', 'stranger']), packet);
  }

  run(steps: readonly string[]): void {
    const fuzzed = new FuzzedServer();
    for (const line of steps) fuzzed.take(line);
    fuzzed.heal();
  }
}

function clientPacket(random: Random): Buffer {
  const client = random.chance(0.7) ? CLIENT : BigInt(random.below(6));
  const position = random.chance(0.8) ? 1 + random.below(40) : number(random, 2 ** 32);
  switch (random.below(6)) {
    case 0:
      return encodeMapRequest({
        client,
        machine: client,
        isServer: random.chance(0.1),
        host: 'pc',
      });
    case 1:
    case 2:
    case 3:
      return encodeBlockRequest({
        session: SESSION,
        client,
        asOfPosition: position,
        space: random.pick([Space.image, Space.image, Space.mapPage, Space.mapRoot]),
        ranges: random.chance(0.7) ? runs(random, chunkCount, 2 ** 32) : [],
        halves: Array.from({ length: random.below(4) }, () => ({
          chunk: number(random, chunkCount),
          runs: runs(random, 4, 65_536),
        })),
      });
    default:
      return encodeReport({
        session: SESSION,
        client,
        position,
        packetsReceived: number(random, 50),
        packetsLost: number(random, 50),
        clockUs: number(random, 2 ** 32),
        missingChunks: number(random, chunkCount + 1),
        provenChunks: number(random, chunkCount + 1),
        receiveBufferBytes: number(random, 2 ** 32),
        state: random.below(5) as ClientStateId,
      });
  }
}

class FuzzedServer {
  private readonly driver = new ServerDriver({ chunks: chunkCount, zeros: zeroChunks });
  private isPrepared = false;
  private received = 0;
  private replies = 0;
  /** What is still to come, as "chunk/block"; zero chunks as "chunk". */
  private readonly missing = new Set<string>();
  private position = 1;

  take(line: string): void {
    const { verb, bytes, count } = readStep(line);
    const driver = this.driver;
    if (verb === 'open') this.prepare(count === 1);
    else if (verb === 'disk') this.prepare(true);
    else if (verb === 'wait') this.check(driver.run(count));
    else {
      this.received += 1;
      driver.handle(bytes, verb === 'stranger' ? stranger : PEER);
      this.check(driver.run(1));
    }
  }

  private prepare(isWanted: boolean): void {
    if (!isWanted || this.isPrepared) return;
    this.isPrepared = true;
    this.driver.prepare();
  }

  private check(sent: readonly Sent[]): void {
    for (const { type, to, bytes } of sent) {
      if (to !== null && type !== 'mapRequest') this.replies += 1;
      if (type === 'block') this.checkBlock(bytes);
      if (type === 'zeroRanges') this.checkZeros(bytes);
      if (type !== 'imageDescription' || to?.port !== honest.peer.port) continue;
      this.position = decodeImageDescription(bytes)!.position;
    }
    promise(this.replies <= this.received, `${this.replies} answers to ${this.received} packets`);
    this.driver.session.progress(this.driver.now);
  }

  private checkBlock(bytes: Buffer): void {
    const space = spaceOfKind(kindByteOf(bytes, 0)) as SpaceId;
    const [chunk, block] = [chunkOf(bytes, 0), blockOf(bytes, 0)];
    promise(block < blocksFor(space, chunk), `no block ${chunk}/${block} of space ${space}`);
    const payload = bytes.subarray(BLOCK_HEADER_BYTES);
    promise(payload.equals(blockPayload(space, chunk, block)), `block ${chunk}/${block} is right`);
    if (space === Space.image) this.missing.delete(`${chunk}/${block}`);
  }

  private checkZeros(bytes: Buffer): void {
    for (const { first, count } of decodeZeroRanges(bytes)!.ranges) {
      for (let chunk = first; chunk < first + count; chunk++) {
        promise(zeroChunks.includes(chunk), `chunk ${chunk} is no zeros`);
        this.missing.delete(`${chunk}`);
      }
    }
  }

  /** An honest client asks as long as something is missing. */
  heal(): void {
    const driver = this.driver;
    this.prepare(true);
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      if (zeroChunks.includes(chunk)) this.missing.add(`${chunk}`);
      else for (let block = 0; block < 4; block++) this.missing.add(`${chunk}/${block}`);
    }
    for (let elapsedMs = 0; elapsedMs < healMs && this.missing.size > 0; elapsedMs += askEveryMs) {
      this.received += 2;
      driver.handle(
        encodeMapRequest({ client: honest.id, machine: 1n, isServer: false, host: 'x' }),
        honest.peer,
      );
      this.check(driver.run(1));
      driver.handle(this.request(), honest.peer);
      this.check(driver.run(askEveryMs - 1));
    }
    const left = [...this.missing].join(' ');
    promise(left === '', `an honest client did not get ${left} in ${healMs} ms`);
  }

  private request(): Buffer {
    const chunks = new Set([...this.missing].map((name) => Number(name.split('/')[0])));
    return encodeBlockRequest({
      session: SESSION,
      client: honest.id,
      asOfPosition: this.position,
      space: Space.image,
      ranges: [...chunks].sort((a, b) => a - b).map((first) => ({ first, count: 1 })),
      halves: [],
    });
  }
}
