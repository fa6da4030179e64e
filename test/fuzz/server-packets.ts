/** What a server may send to a client, and what somebody may send who looks like one. */

import { Space, type SpaceId } from '../../src/protocol/block.js';
import {
  encodeFarewell,
  encodeImageDescription,
  encodeNotice,
  encodeStatus,
  encodeZeroRanges,
  NoticeCode,
  type NoticeCodeId,
} from '../../src/protocol/from-server.js';
import type { Random } from '../sim/random.js';
import { GROUP } from '../unit/client-driver.js';
import { BLOCK_SIZE, CHUNK_SIZE, CLIENT, SESSION } from '../unit/server-driver.js';
import { blockPacket, blocksFor, chunkCount, map } from './images.js';
import { number, runs } from './numbers.js';

const spaces: readonly SpaceId[] = [
  Space.image,
  Space.image,
  Space.image,
  Space.mapPage,
  Space.mapRoot,
];

export class ServerPackets {
  private position = 1;

  make(random: Random): Buffer {
    switch (random.below(12)) {
      case 0:
      case 1:
        return this.status(random);
      case 2:
        return this.zeros(random);
      case 3:
        return this.description(random);
      case 4:
        return encodeFarewell({
          session: SESSION,
          client: random.chance(0.9) ? CLIENT : 6n,
          isDropped: random.chance(0.1),
        });
      case 5:
        return random.chance(0.2) ? this.notice(random) : this.status(random);
      default:
        return this.block(random);
    }
  }

  private next(random: Random): number {
    if (random.chance(0.05)) return number(random, 2 ** 32);
    if (random.chance(0.1)) this.position += random.below(8);
    return this.position++;
  }

  private mapId(random: Random): Buffer | null {
    if (random.chance(0.3)) return null;
    return random.chance(0.9) ? map.id : random.fill(Buffer.alloc(32));
  }

  private block(random: Random): Buffer {
    const space = random.pick(spaces);
    const chunk = space === Space.image ? random.below(chunkCount) : 0;
    const block = random.below(blocksFor(space, chunk));
    const fields = { session: SESSION, space, chunk, block, position: this.next(random) };
    if (random.chance(0.85)) return blockPacket(fields);
    const variant = random.below(3);
    return blockPacket({ ...fields, variant }, random.fill(Buffer.alloc(BLOCK_SIZE)));
  }

  private status(random: Random): Buffer {
    return encodeStatus({
      session: SESSION,
      position: random.chance(0.9) ? this.position : this.next(random),
      cursor: number(random, chunkCount + 1),
      pendingChunks: number(random, chunkCount + 1),
      isIdle: random.chance(0.5),
      awaitedClients: random.chance(0.1) ? random.below(4) : null,
      mapId: this.mapId(random),
      reportIntervalMs: number(random, 65_536),
      requestWindowMs: number(random, 65_536),
      joinWindowMs: number(random, 65_536),
      sentinels: random.chance(0.5) ? [CLIENT] : [],
    });
  }

  private zeros(random: Random): Buffer {
    const ranges = random.chance(0.6)
      ? [
          { first: 3, count: 2 },
          { first: 9, count: 1 },
        ]
      : runs(random, chunkCount, 2 ** 32);
    return encodeZeroRanges({
      isFree: random.chance(0.3),
      session: SESSION,
      position: this.next(random),
      ranges,
    });
  }

  private description(random: Random): Buffer {
    const isTrue = random.chance(0.8);
    return encodeImageDescription({
      session: random.chance(0.7) ? SESSION : SESSION + 1n,
      client: CLIENT,
      imageSize: isTrue ? chunkCount * CHUNK_SIZE : number(random, 2 ** 48),
      chunkSize: isTrue ? CHUNK_SIZE : number(random, 2 ** 32),
      blockSize: isTrue ? BLOCK_SIZE : number(random, 65_536),
      mapId: this.mapId(random),
      group: GROUP,
      port: 9000,
      otherSessions: random.below(3),
      position: this.position,
      sectorSizeBytes: 0,
      streamAddress: '',
      requestWindowMs: 0,
      reportIntervalMs: 20,
      name: 'disk.img',
    });
  }

  private notice(random: Random): Buffer {
    return encodeNotice({
      session: SESSION,
      code: random.pick(Object.values(NoticeCode) as NoticeCodeId[]),
      first: number(random, chunkCount + 1),
      count: number(random, chunkCount + 1),
      text: 'so it is',
    });
  }
}
