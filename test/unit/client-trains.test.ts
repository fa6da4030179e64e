import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Encoding } from '../../src/protocol/block.js';
import { ClientDriver } from './client-driver.js';
import { CHUNK_SIZE, contentOf } from './server-driver.js';

const CHUNKS = 6;

/** What may happen to a packet on its way. */
type Fate = 'arrives' | 'lost' | 'twice' | 'late' | 'torn';

interface Arrival {
  bytes: Buffer;
  /** Begins a datagram: the driver hands over what came before. */
  isFirst: boolean;
}

/** The packets of a pass, as they come in. Chunks with odd numbers travel shorter. */
function stream(driver: ClientDriver, fates: readonly Fate[], cuts: readonly boolean[]): Arrival[] {
  const packets: Buffer[] = [];
  let late: Buffer | null = null;
  let number = 0;
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const isOdd = chunk % 2 === 1;
    const bytes = contentOf(chunk).subarray(0, isOdd ? CHUNK_SIZE - 11 : CHUNK_SIZE);
    const encoding = isOdd ? Encoding.zstd : Encoding.raw;
    for (let block = 0; block * 16 < bytes.length; block++) {
      const packet = driver.block(bytes, block, { chunk, encoding });
      const fate = fates[number++ % fates.length]!;
      if (fate === 'lost') continue;
      if (fate === 'late' && late === null) {
        late = packet;
        continue;
      }
      if (fate === 'torn') packet[number % 28]! ^= 1 << (number % 8);
      packets.push(packet);
      if (fate === 'twice') packets.push(Buffer.from(packet));
      if (late !== null) packets.push(late);
      late = null;
    }
  }
  return packets.map((bytes, i) => ({ bytes, isFirst: cuts[i % cuts.length]! }));
}

/** Everything that can be seen of a client after it took a stream. */
function outcomeOf(driver: ClientDriver): unknown {
  driver.store();
  const { progress, requests } = { progress: driver.session.progress(), requests: driver.run(300) };
  return { progress, requests, disk: driver.disk.toString('hex') };
}

function newDriver(): ClientDriver {
  const driver = new ClientDriver({ chunks: CHUNKS });
  driver.join();
  return driver;
}

test('property: a train does exactly what its packets do one by one, whatever befell them', () => {
  // A status may overtake some of the packets before it.
  const ahead = fc.integer({ min: 0, max: 30 });
  const fate = fc.constantFrom<Fate>(
    'arrives',
    'arrives',
    'arrives',
    'lost',
    'twice',
    'late',
    'torn',
  );
  const fates = fc.array(fate, { minLength: 1, maxLength: 24 });
  const cuts = fc.array(fc.boolean(), { minLength: 1, maxLength: 24 });
  fc.assert(
    fc.property(fates, cuts, ahead, (fates, cuts, ahead) => {
      const [singly, inTrains] = [newDriver(), newDriver()];
      for (const driver of [singly, inTrains]) {
        driver.group(driver.block(contentOf(0), 0, { chunk: 0 }));
        driver.status({ position: driver.position + ahead });
      }
      for (const { bytes } of stream(singly, fates, cuts)) singly.group(bytes);
      // A torn length would take other packets of its datagram with it: that is not compared here.
      const arrivals = stream(inTrains, fates, cuts);
      const datagram: Buffer[] = [];
      const flush = () => inTrains.group(Buffer.concat(datagram.splice(0)));
      for (const { bytes, isFirst } of arrivals) {
        if (isFirst || isTornInLength(bytes)) flush();
        datagram.push(bytes);
        if (isTornInLength(bytes)) flush();
      }
      flush();
      assert.deepEqual(outcomeOf(inTrains), outcomeOf(singly));
    }),
    { numRuns: 300 },
  );
});

const isTornInLength = (bytes: Buffer): boolean =>
  bytes.readUInt16BE(0) !== 0x4d43 || bytes[2] !== 1 || bytes.readUInt16BE(4) !== bytes.length;

test('what follows a packet of another session does not continue it', () => {
  const driver = newDriver();
  const foreign = [0, 1, 2, 3].map((block) => driver.block(contentOf(0), block, { chunk: 0 }));
  for (const packet of foreign) packet[15]! ^= 1;
  const own = driver.block(contentOf(1), 0, { chunk: 1 });
  driver.group(Buffer.concat([own, ...foreign]));
  const { blocksReceived, packetsBad } = driver.session.progress();
  assert.deepEqual([blocksReceived, packetsBad], [1, foreign.length]);
});
