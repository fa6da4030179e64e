/**
 * The client's machine: whatever arrives, it does not throw, answers little, writes inside its
 * target only, proves nothing that is wrong, and once the forger is gone it gets its copy.
 */

import type { StoreOrder } from '../../src/client/outputs.js';
import { Space } from '../../src/protocol/block.js';
import type { BlockRequest } from '../../src/protocol/from-client.js';
import { encodeZeroRanges } from '../../src/protocol/from-server.js';
import type { Random } from '../sim/random.js';
import { ClientDriver, type Outgoing, SERVER, STRANGER } from '../unit/client-driver.js';
import { CHUNK_SIZE, SESSION } from '../unit/server-driver.js';
import { bytesFor, chunkCount, content, map, zeroChunks } from './images.js';
import { mutate } from './mutate.js';
import { ServerPackets } from './server-packets.js';
import { type FuzzTarget, packetStep, promise, readStep, type Step, waitStep } from './steps.js';

/** Bits of the first step: how the client starts. */
const Start = { knowsMap: 1, holdsEarlierData: 2, isWritten: 4, fewSlots: 8, checkOnly: 16 };
const healMs = 30_000;
const mostPacketsPerMs = 40;
/** Ends that a forger who has the server's address can bring about, and says so in SECURITY.md. */
const allowedFailures = ['source', 'otherImage', 'network', 'noServer'];

export class ClientTarget implements FuzzTarget {
  readonly name = 'client';
  private readonly packets = new ServerPackets();

  makeStart(random: Random): string {
    return `open ${random.below(32)}`;
  }

  makeStep(random: Random): string {
    if (random.chance(0.12)) return waitStep(random.pick([1, 1, 5, 30, 30, 200]));
    // Past the quiet time, or as if the machine had slept.
    if (random.chance(0.01)) return waitStep(random.pick([1200, 6000]));
    if (random.chance(0.15)) return 'disk';
    const sound = this.packets.make(random);
    const packet = random.chance(0.6) ? sound : mutate(random, sound, this.packets.make(random));
    const verb = random.pick(['group', 'group', 'group', 'group', 'unicast', 'other', 'stranger']);
    return packetStep(verb, packet);
  }

  run(steps: readonly string[]): void {
    const [first = '', ...rest] = steps;
    const opening = readStep(first);
    const isOpened = opening.verb === 'open';
    const fuzzed = new FuzzedClient(isOpened ? opening.count : 0);
    for (const line of isOpened ? rest : steps) {
      fuzzed.take(readStep(line));
      fuzzed.checkPromises();
      if (fuzzed.isOver) return;
    }
    fuzzed.heal();
  }
}

class FuzzedClient {
  private readonly driver: ClientDriver;
  private readonly isCheckOnly: boolean;
  private readonly before: Buffer;

  constructor(start: number) {
    const holdsEarlierData = (start & Start.holdsEarlierData) !== 0;
    this.isCheckOnly = (start & Start.checkOnly) !== 0;
    this.driver = new ClientDriver({
      chunks: chunkCount,
      slotCount: (start & Start.fewSlots) !== 0 ? 2 : 8,
      target: {
        isBlank: (start & (Start.isWritten | Start.holdsEarlierData | Start.checkOnly)) === 0,
        holdsEarlierData,
        isCheckOnly: this.isCheckOnly,
      },
    });
    if (holdsEarlierData || this.isCheckOnly) {
      content.copy(this.driver.disk);
      // Two chunks are not as they should be.
      this.driver.disk.fill(0xbb, CHUNK_SIZE, 2 * CHUNK_SIZE);
      this.driver.disk.fill(0, 6 * CHUNK_SIZE, 7 * CHUNK_SIZE);
    } else if ((start & Start.isWritten) !== 0) {
      this.driver.disk.fill(0xaa);
    }
    this.before = Buffer.from(this.driver.disk);
    this.driver.join((start & Start.knowsMap) !== 0 ? { mapId: map.id } : {});
  }

  get isOver(): boolean {
    const { failure, isProven, isCompared } = this.driver.session;
    return failure !== null || isProven || isCompared;
  }

  take(step: Step): void {
    const driver = this.driver;
    const { session, now } = driver;
    const { bytes } = step;
    if (step.verb === 'wait') this.noteSent(driver.run(step.count), step.count);
    else if (step.verb === 'disk') this.useDisk();
    else if (step.verb === 'group') driver.group(bytes);
    else if (step.verb === 'other') driver.group(bytes, STRANGER.address);
    else if (step.verb === 'unicast') {
      session.handleUnicast(bytes, SERVER.address, SERVER.port, now);
    } else if (step.verb === 'stranger')
      session.handleUnicast(bytes, STRANGER.address, STRANGER.port, now);
    else throw new Error(`no step of the client: ${step.verb}`);
  }

  private noteSent({ blockRequests, reports, mapRequests }: Outgoing, forMs: number): void {
    const sent = blockRequests.length + reports.length + mapRequests;
    promise(sent <= mostPacketsPerMs * (1 + forMs), `${sent} packets sent in ${forMs} ms`);
  }

  private useDisk(): void {
    const driver = this.driver;
    driver.collect();
    for (const order of driver.orders.splice(0)) {
      this.checkOrder(order);
      driver.carryOut(order);
    }
    driver.look();
  }

  private checkOrder({ offsetBytes, lengthBytes }: StoreOrder): void {
    promise(!this.isCheckOnly, 'a copy that is only checked is not written');
    promise(offsetBytes >= 0 && lengthBytes > 0, 'an order has a place');
    promise(
      offsetBytes + lengthBytes <= this.driver.disk.length,
      'nothing is written behind the end',
    );
  }

  checkPromises(): void {
    const { session, disk } = this.driver;
    const { failure } = session;
    if (failure !== null) {
      promise(allowedFailures.includes(failure.kind), `a forger ends it: ${failure.message}`);
    }
    if (session.isProven) promise(disk.equals(content), 'what is proven is right');
    if (this.isCheckOnly) promise(disk.equals(this.before), 'a check writes nothing');
    const { missingChunks, provenBytes, writtenBytes } = session.progress();
    promise(missingChunks >= 0 && missingChunks <= chunkCount, `${missingChunks} chunks missing`);
    promise(provenBytes <= content.length && writtenBytes <= content.length, 'no more than all');
  }

  /** From here on there is only the true server: the copy gets done. */
  heal(): void {
    const driver = this.driver;
    const wanted = new Set<number>();
    for (let elapsedMs = 0; elapsedMs < healMs; elapsedMs++) {
      const out = driver.run(1);
      if (out.mapRequests > 0) driver.answer({ mapId: map.id });
      for (const request of out.blockRequests) this.serve(request, wanted);
      for (const chunk of [...wanted].slice(0, 2)) {
        this.sendChunk(chunk);
        wanted.delete(chunk);
      }
      if (elapsedMs % 20 === 0) {
        const isIdle = wanted.size === 0;
        const cursor = isIdle ? 0 : Math.min(...wanted);
        driver.status({ mapId: map.id, isIdle, pendingChunks: wanted.size, cursor });
      }
      this.useDisk();
      this.checkPromises();
      if (this.isOver) return;
    }
    promise(false, `not done ${healMs} ms after the last forged packet`);
  }

  private serve({ space, ranges, halves }: BlockRequest, wanted: Set<number>): void {
    const asked = [...ranges, ...halves.map(({ chunk }) => ({ first: chunk, count: 1 }))];
    for (const { first, count } of asked) {
      for (let chunk = first; chunk < first + count; chunk++) {
        const bytes = bytesFor(space, chunk);
        promise(bytes !== null, `asks for chunk ${chunk} of space ${space}, which is not there`);
        if (space === Space.image) wanted.add(chunk);
        else this.driver.send(chunk, bytes, space);
      }
    }
  }

  private sendChunk(chunk: number): void {
    const driver = this.driver;
    if (!zeroChunks.includes(chunk)) {
      driver.send(chunk, bytesFor(Space.image, chunk)!);
      return;
    }
    const ranges = [{ first: chunk, count: 1 }];
    driver.group(
      encodeZeroRanges({ isFree: false, session: SESSION, position: driver.position++, ranges }),
    );
  }
}
