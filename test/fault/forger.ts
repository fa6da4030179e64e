/**
 * Packets as an attacker makes them: rubbish, what was heard and spoilt, and sound ones that lie.
 */

import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  Encoding,
  type EncodingId,
  kindOf,
  Space,
  type SpaceId,
} from '../../src/protocol/block.js';
import { encodeBlockChecks } from '../../src/protocol/block-checks.js';
import { CHECK_BYTES, isAsWritten, writeCheck } from '../../src/protocol/check.js';
import {
  type ClientStateId,
  encodeBlockRequest,
  encodeMapRequest,
  encodeReport,
} from '../../src/protocol/from-client.js';
import {
  encodeFarewell,
  encodeImageDescription,
  encodeNotice,
  encodeStatus,
  encodeZeroRanges,
  type NoticeCodeId,
} from '../../src/protocol/from-server.js';
import { encodeLocked } from '../../src/protocol/locked.js';
import { HEADER_BYTES, PacketType, packetType, writeHeader } from '../../src/protocol/packet.js';
import { encodeProbe, encodeProbeAnswer, probePadding } from '../../src/protocol/probe.js';
import type { Run } from '../../src/protocol/run.js';
import { encodeStatement, encodeStatementRequest } from '../../src/protocol/statement-packets.js';
import type { Random } from '../sim/random.js';
import { writeBlockHeader } from '../unit/block-header.js';
import { withCheck } from '../with-check.js';

const mostHeard = 64;

export class Forger {
  /** The session that is attacked; 0 while it is not known. */
  session = 0n;
  private readonly random: Random;
  private readonly chunkCount: number;
  private readonly heard: Buffer[] = [];
  private position = 0;
  private blockSize = 1444;

  constructor(random: Random, chunkCount: number) {
    this.random = random;
    this.chunkCount = chunkCount;
  }

  get heardCount(): number {
    return this.heard.length;
  }

  hear(packet: Buffer): void {
    if (this.heard.length < mostHeard) this.heard.push(Buffer.from(packet));
    if (packet.length <= BLOCK_HEADER_BYTES) return;
    this.position = packet.readUInt32BE(20);
    this.blockSize = Math.max(this.blockSize, packet.length - BLOCK_HEADER_BYTES);
  }

  forServer(): Buffer {
    const random = this.random;
    const client = random.id();
    const { session } = this;
    switch (random.below(11)) {
      case 0:
        return this.rubbish();
      case 1:
        return this.spoilt(this.blockRequest(client));
      case 8:
        return encodeStatementRequest({ session, client });
      case 9:
        return encodeProbe({
          client,
          number: this.number(),
          wish: random.pick([0, 1, 2]),
          answerBytes: random.below(65_536),
          rateBytesPerMs: this.number(),
          burstPackets: random.below(65_536),
          paddingLength: probePadding(random.below(1400)),
        });
      case 10:
        // Another server, it says.
        return this.description(client);
      case 2:
      case 3:
        return this.blockRequest(client);
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
          position: this.near(),
          packetsReceived: this.number(),
          packetsLost: this.number(),
          clockUs: this.number(),
          missingChunks: this.number(),
          provenChunks: this.number(),
          receiveBufferBytes: this.number(),
          state: random.below(5) as ClientStateId,
        });
    }
  }

  /** What makes of copies of a packet others of its kind, in their place: sound, if it is. */
  variationOf(packet: Buffer): (copy: Buffer) => void {
    if (packet.length < HEADER_BYTES + 2 * CHECK_BYTES) return () => {};
    const type = packetType(packet, 0);
    const isSound = type !== PacketType.block && isAsWritten(packet);
    return (copy) => {
      this.vary(copy, type);
      if (isSound) writeCheck(copy);
    };
  }

  private vary(packet: Buffer, type: number): void {
    const { random } = this;
    switch (type) {
      case PacketType.block:
        packet.writeUInt16BE(random.below(800), 6);
        packet.writeUInt32BE(random.below(this.chunkCount), 16);
        packet.writeUInt32BE(this.near(), 20);
        break;
      case PacketType.status:
      case PacketType.zeroRanges:
      case PacketType.notice:
        packet.writeUInt32BE(this.near(), 16);
        break;
      default:
        // From or for yet another client that there is not.
        packet.writeUInt32BE(random.below(2 ** 32), 16);
        packet.writeUInt32BE(random.below(2 ** 32), 20);
    }
  }

  forClient(): Buffer {
    const random = this.random;
    switch (random.below(13)) {
      case 0:
        return this.rubbish();
      case 1:
        return this.heard.length > 0 ? this.spoilt(random.pick(this.heard)) : this.rubbish();
      case 2:
        return this.status();
      case 3:
        return encodeZeroRanges({
          isFree: false,
          ...this.stream(),
          ranges: this.runs(this.chunkCount),
        });
      case 4:
        return this.answer();
      case 5:
        return encodeNotice({
          session: this.session,
          code: (1 + random.below(3)) as NoticeCodeId,
          first: random.below(this.chunkCount),
          count: random.below(4),
          text: 'forged',
        });
      case 6:
        return encodeBlockChecks({
          ...this.stream(),
          chunk: random.below(this.chunkCount),
          encodedLength: chunkSizeBytes,
          kindByte: kindOf(Space.image, Encoding.raw, 0),
          first: random.below(700),
          checks: Array.from({ length: 1 + random.below(200) }, () => random.below(2 ** 32)),
        });
      default:
        return this.block();
    }
  }

  private rubbish(): Buffer {
    const random = this.random;
    const bytes = random.fill(Buffer.alloc(random.below(1472)));
    // Half of it looks like ours at first sight.
    if (bytes.length >= 16 && random.chance(0.5)) {
      writeHeader(bytes, 0, random.below(12), random.below(2 * bytes.length), this.session);
    }
    return bytes;
  }

  private spoilt(packet: Buffer): Buffer {
    const random = this.random;
    const bytes = Buffer.from(packet);
    if (random.chance(0.3)) return bytes.subarray(0, random.below(bytes.length));
    for (let flips = 1 + random.below(4); flips > 0; flips--) {
      bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    }
    return random.chance(0.9) ? withCheck(bytes) : bytes;
  }

  private number(): number {
    const random = this.random;
    return random.chance(0.3)
      ? random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff])
      : random.below(2 ** 32);
  }

  /** A position that may be true. */
  private near(): number {
    const random = this.random;
    return random.chance(0.5) ? (this.position + random.below(3000)) >>> 0 : this.number();
  }

  private stream(): { session: bigint; position: number } {
    return { session: this.session, position: this.near() };
  }

  private runs(limit: number, largest = 0xffffffff): Run[] {
    const random = this.random;
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

  private blockRequest(client: bigint): Buffer {
    const random = this.random;
    return encodeBlockRequest({
      session: this.session,
      client,
      asOfPosition: this.near(),
      space: random.below(3) as SpaceId,
      ranges: this.runs(this.chunkCount),
      halves: Array.from({ length: random.below(8) }, () => ({
        chunk: random.below(2 * this.chunkCount),
        runs: this.runs(190, 0xffff),
      })),
    });
  }

  private status(): Buffer {
    const random = this.random;
    return encodeStatus({
      ...this.stream(),
      cursor: random.below(2 * this.chunkCount),
      pendingChunks: this.number(),
      isIdle: random.chance(0.5),
      awaitedClients: random.chance(0.1) ? random.below(4) : null,
      mapId: random.chance(0.5) ? random.fill(Buffer.alloc(32)) : null,
      reportIntervalMs: random.below(65_536),
      requestWindowMs: random.below(65_536),
      joinWindowMs: random.below(65_536),
      sentinels: Array.from({ length: random.below(17) }, () => random.id()),
    });
  }

  /** Something for the client's own port. Its id is in the open only as a sentinel. */
  private answer(): Buffer {
    const random = this.random;
    const client = random.id();
    const { session } = this;
    switch (random.below(6)) {
      case 0:
        return encodeFarewell({ session, client, isDropped: random.chance(0.5) });
      case 1:
        return encodeLocked({ session });
      case 2: {
        const [statement, signature] = [random.fill(Buffer.alloc(300)), Buffer.alloc(200)];
        return encodeStatement({ session, client, statement, signature });
      }
      case 3:
        return this.probeAnswer(client);
      default:
        return this.description(client);
    }
  }

  private probeAnswer(client: bigint): Buffer {
    return encodeProbeAnswer({
      session: this.session,
      client,
      number: this.number(),
      wish: 0,
      isDoctor: false,
      packetBytes: this.blockSize,
      imageSize: this.number(),
      index: 0,
      count: 0,
      port: 1234,
      group: '239.255.1.1',
      name: 'forged.img',
      paddingLength: this.random.below(1000),
    });
  }

  private description(client: bigint): Buffer {
    const { random } = this;
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
      position: this.near(),
      sectorSizeBytes: 0,
      streamAddress: '',
      requestWindowMs: 0,
      reportIntervalMs: 20,
      name: 'forged.img',
    });
  }

  /** A block that fits to the last byte, but for what it carries. */
  private block(): Buffer {
    const random = this.random;
    const space = random.pick([
      Space.image,
      Space.image,
      Space.image,
      Space.mapPage,
      Space.mapRoot,
    ]);
    const encodedLength = random.chance(0.7) ? chunkSizeBytes : random.below(2 ** 24);
    const blocks = Math.max(1, Math.ceil(encodedLength / this.blockSize));
    const block = random.below(Math.min(blocks, 65_536));
    const payloadBytes = Math.min(this.blockSize, encodedLength - block * this.blockSize);
    const bytes = Buffer.alloc(BLOCK_HEADER_BYTES + Math.max(0, payloadBytes), random.below(256));
    const header = {
      ...this.stream(),
      chunk: space === Space.image ? random.below(this.chunkCount + 2) : random.below(2),
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
