/** Packets as an attacker makes them: rubbish, what was heard and spoilt, and sound ones that lie. */

import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  type EncodingId,
  Space,
  type SpaceId,
} from '../../src/protocol/block.js';
import {
  type ClientStateId,
  encodeBlockRequest,
  encodeMapRequest,
  encodeReport,
} from '../../src/protocol/from-client.js';
import {
  encodeFarewell,
  encodeImageDescription,
  encodeStatus,
  encodeZeroRanges,
} from '../../src/protocol/from-server.js';
import { writeHeader } from '../../src/protocol/packet.js';
import type { Run } from '../../src/protocol/run.js';
import type { Random } from '../sim/random.js';
import { writeBlockHeader } from '../unit/block-header.js';
import { withCheck } from '../with-check.js';

const mostHeard = 64;

export class Forger {
  /** The session that is attacked; 0 while it is not known. */
  session = 0n;
  readonly #random: Random;
  readonly #chunkCount: number;
  readonly #heard: Buffer[] = [];
  #position = 0;
  #blockSize = 1444;

  constructor(random: Random, chunkCount: number) {
    this.#random = random;
    this.#chunkCount = chunkCount;
  }

  get heardCount(): number {
    return this.#heard.length;
  }

  hear(packet: Buffer): void {
    if (this.#heard.length < mostHeard) this.#heard.push(Buffer.from(packet));
    if (packet.length <= BLOCK_HEADER_BYTES) return;
    this.#position = packet.readUInt32BE(20);
    this.#blockSize = Math.max(this.#blockSize, packet.length - BLOCK_HEADER_BYTES);
  }

  forServer(): Buffer {
    const random = this.#random;
    const client = random.id();
    const { session } = this;
    switch (random.below(8)) {
      case 0:
        return this.#rubbish();
      case 1:
        return this.#spoilt(this.#blockRequest(client));
      case 2:
      case 3:
        return this.#blockRequest(client);
      case 4:
      case 5:
        return encodeMapRequest({
          client,
          machine: client,
          isServer: random.chance(0.1),
          host: `h${client}`,
        });
      default:
        return encodeReport({
          session: random.chance(0.9) ? session : random.id(),
          client,
          position: this.#near(),
          packetsReceived: this.#number(),
          packetsLost: this.#number(),
          clockUs: this.#number(),
          missingChunks: this.#number(),
          provenChunks: this.#number(),
          receiveBufferBytes: this.#number(),
          state: random.below(5) as ClientStateId,
        });
    }
  }

  /** A request of this kind again, from yet another client that there is not. */
  renameSender(packet: Buffer): void {
    if (packet.length >= 24) packet.writeBigUInt64BE(this.#random.id(), 16);
  }

  forClient(): Buffer {
    const random = this.#random;
    switch (random.below(10)) {
      case 0:
        return this.#rubbish();
      case 1:
        return this.#heard.length > 0 ? this.#spoilt(random.pick(this.#heard)) : this.#rubbish();
      case 2:
        return this.#status();
      case 3:
        return encodeZeroRanges({ ...this.#stream(), ranges: this.#runs(this.#chunkCount) });
      case 4:
        return this.#answer();
      default:
        return this.#block();
    }
  }

  #rubbish(): Buffer {
    const random = this.#random;
    const bytes = random.fill(Buffer.alloc(random.below(1472)));
    // Half of it looks like ours at first sight.
    if (bytes.length >= 16 && random.chance(0.5)) {
      writeHeader(bytes, 0, random.below(12), random.below(2 * bytes.length), this.session);
    }
    return bytes;
  }

  #spoilt(packet: Buffer): Buffer {
    const random = this.#random;
    const bytes = Buffer.from(packet);
    if (random.chance(0.3)) return bytes.subarray(0, random.below(bytes.length));
    for (let flips = 1 + random.below(4); flips > 0; flips--) {
      bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    }
    return random.chance(0.9) ? withCheck(bytes) : bytes;
  }

  #number(): number {
    const random = this.#random;
    return random.chance(0.3)
      ? random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff])
      : random.below(2 ** 32);
  }

  /** A position that may be true. */
  #near(): number {
    const random = this.#random;
    return random.chance(0.5) ? (this.#position + random.below(3000)) >>> 0 : this.#number();
  }

  #stream(): { session: bigint; position: number } {
    return { session: this.session, position: this.#near() };
  }

  #runs(limit: number, largest = 0xffffffff): Run[] {
    const random = this.#random;
    if (random.chance(0.2)) return [{ first: 0, count: largest }];
    const runs: Run[] = [];
    let end = 0;
    for (let count = random.below(20); count > 0; count--) {
      const first = end + random.below(Math.max(1, limit / 8));
      runs.push({ first, count: 1 + random.below(8) });
      end = first + 9;
    }
    return runs;
  }

  #blockRequest(client: bigint): Buffer {
    const random = this.#random;
    return encodeBlockRequest({
      session: this.session,
      client,
      asOfPosition: this.#near(),
      space: random.below(3) as SpaceId,
      ranges: this.#runs(this.#chunkCount),
      halves: Array.from({ length: random.below(8) }, () => ({
        chunk: random.below(2 * this.#chunkCount),
        runs: this.#runs(190, 0xffff),
      })),
    });
  }

  #status(): Buffer {
    const random = this.#random;
    return encodeStatus({
      ...this.#stream(),
      cursor: random.below(2 * this.#chunkCount),
      pendingChunks: this.#number(),
      isIdle: random.chance(0.5),
      mapId: random.chance(0.5) ? random.fill(Buffer.alloc(32)) : null,
      reportIntervalMs: random.below(65_536),
      requestWindowMs: random.below(65_536),
      joinWindowMs: random.below(65_536),
      sentinels: Array.from({ length: random.below(17) }, () => random.id()),
    });
  }

  /** Something for the client's own port. Its id is in the open only as a sentinel. */
  #answer(): Buffer {
    const random = this.#random;
    const client = random.id();
    if (random.chance(0.3)) return encodeFarewell({ session: this.session, client });
    return encodeImageDescription({
      session: this.session,
      client,
      imageSize: random.below(2 ** 48),
      chunkSize: random.below(2 ** 32),
      blockSize: random.below(65_536),
      mapId: null,
      group: '239.255.1.1',
      port: 1234,
      otherSessions: 0,
      position: this.#near(),
      sectorSizeBytes: 0,
      streamAddress: '',
      requestWindowMs: 0,
      reportIntervalMs: 20,
      name: 'forged.img',
    });
  }

  /** A block that fits to the last byte, but for what it carries. */
  #block(): Buffer {
    const random = this.#random;
    const space = random.pick([
      Space.image,
      Space.image,
      Space.image,
      Space.mapPage,
      Space.mapRoot,
    ]);
    const encodedLength = random.chance(0.7) ? chunkSizeBytes : random.below(2 ** 24);
    const blocks = Math.max(1, Math.ceil(encodedLength / this.#blockSize));
    const block = random.below(Math.min(blocks, 65_536));
    const payloadBytes = Math.min(this.#blockSize, encodedLength - block * this.#blockSize);
    const bytes = Buffer.alloc(BLOCK_HEADER_BYTES + Math.max(0, payloadBytes), random.below(256));
    const header = {
      ...this.#stream(),
      chunk: space === Space.image ? random.below(this.#chunkCount + 2) : random.below(2),
      block,
      encodedLength,
      space,
      encoding: (random.chance(0.8) ? 0 : random.below(4)) as EncodingId,
      variant: random.chance(0.8) ? 0 : random.below(16),
    };
    writeBlockHeader(bytes, 0, header, bytes.length - BLOCK_HEADER_BYTES);
    return bytes;
  }
}
