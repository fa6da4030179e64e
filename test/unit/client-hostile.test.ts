import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Encoding, Space } from '../../src/protocol/block.js';
import { checksOfBlocks, encodeBlockChecks } from '../../src/protocol/block-checks.js';
import { encodeZeroRanges, type ImageDescription } from '../../src/protocol/from-server.js';
import { PacketType, writeHeader } from '../../src/protocol/packet.js';
import { ClientDriver, chunksAsked, SERVER, STRANGER } from './client-driver.js';
import { CODECS } from './protocol-packets.js';
import { BLOCK_SIZE, CHUNK_SIZE, CLIENT, contentOf, mapOf, SESSION } from './server-driver.js';

const numbers = (count: number) => [...Array(count).keys()];

test('forged chunks are found out by the block map, and asked for again', () => {
  const map = mapOf(3);
  const driver = new ClientDriver({ chunks: 3 });
  driver.join();
  driver.send(0, Buffer.alloc(CHUNK_SIZE, 0xee));
  driver.send(1, contentOf(1));
  driver.store();
  driver.status({ mapId: map.id });
  driver.sendMap(map);
  assert.deepEqual(chunksAsked(driver.run(100).blockRequests).includes(0), true);
  driver.send(2, Buffer.alloc(CHUNK_SIZE, 0xee));
  driver.store();
  assert.deepEqual(driver.disk.subarray(2 * CHUNK_SIZE), Buffer.alloc(CHUNK_SIZE), 'not written');
  driver.send(0, contentOf(0));
  driver.send(2, contentOf(2));
  driver.store();
  driver.run(5);
  assert.equal(driver.session.isProven, true);
  assert.deepEqual(driver.disk, Buffer.concat(numbers(3).map(contentOf)));
});

/** The server's checks of a chunk that travels raw. */
function sendChecks(driver: ClientDriver, chunk: number, bytes: Buffer): void {
  const checks = checksOfBlocks(bytes, bytes.length, BLOCK_SIZE, 0);
  const numbers = { session: SESSION, position: driver.position++, chunk, first: 0, kindByte: 0 };
  driver.group(encodeBlockChecks({ ...numbers, encodedLength: bytes.length, checks }));
}

test('of a chunk that came damaged, only the damaged blocks are asked for again', () => {
  const map = mapOf(1);
  const driver = new ClientDriver({ chunks: 1 });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  const damaged = Buffer.from(contentOf(0));
  damaged[BLOCK_SIZE]! ^= 1;
  driver.send(0, damaged);
  driver.store();
  const [request] = driver.run(50).blockRequests;
  assert.deepEqual(request!.halves, [{ chunk: 0, runs: [] }]);
  sendChecks(driver, 0, contentOf(0));
  driver.status({ mapId: map.id });
  const { blockRequests } = driver.run(100);
  assert.deepEqual(blockRequests.at(-1)!.halves, [{ chunk: 0, runs: [{ first: 1, count: 1 }] }]);
  driver.group(driver.block(contentOf(0), 1, { chunk: 0 }));
  driver.store();
  driver.run(5);
  assert.equal(driver.session.isProven, true);
});

test('a server that sends what its own map refutes ends the copy, naming the bytes', () => {
  const map = mapOf(2);
  const driver = new ClientDriver({ chunks: 2 });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  const wrong = Buffer.alloc(CHUNK_SIZE, 0xee);
  for (let time = 1; time <= 3; time++) {
    assert.equal(driver.session.failure, null, `before time ${time}`);
    driver.send(1, wrong);
    driver.store();
    sendChecks(driver, 1, wrong);
    driver.run(100);
  }
  const { failure } = driver.session;
  assert.equal(failure?.code, 'DOES_NOT_FIT');
  assert.match(failure.message, new RegExp(`bytes ${CHUNK_SIZE} to ${2 * CHUNK_SIZE - 1} `));
});

test('blocks that are forged while a chunk is in doubt do not pass for the server own', () => {
  const map = mapOf(1);
  const driver = new ClientDriver({ chunks: 1 });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  const forged = Buffer.from(contentOf(0));
  forged[BLOCK_SIZE]! ^= 1;
  for (let time = 1; time <= 6; time++) {
    driver.send(0, forged);
    driver.store();
    driver.group(driver.block(forged, 1, { chunk: 0 }));
    sendChecks(driver, 0, contentOf(0));
    driver.run(100);
    assert.equal(driver.session.failure, null, `time ${time}`);
  }
  driver.send(0, contentOf(0));
  driver.store();
  sendChecks(driver, 0, contentOf(0));
  driver.send(0, contentOf(0));
  driver.store();
  driver.run(200);
  assert.equal(driver.session.isProven, true);
});

test('zeros and data for one chunk are never under way to the disk at once', () => {
  const driver = new ClientDriver({ chunks: 3 });
  driver.join();
  driver.send(0, contentOf(0));
  driver.collect();
  const [order] = driver.orders.splice(0);
  driver.session.handleStored(order!, { kind: 'refused' }, driver.now);
  // From now on zeros are really written.
  const ranges = [{ first: 1, count: 1 }];
  driver.group(
    encodeZeroRanges({ isFree: false, session: SESSION, position: driver.position++, ranges }),
  );
  driver.group(
    encodeZeroRanges({ isFree: false, session: SESSION, position: driver.position++, ranges }),
  );
  driver.send(1, contentOf(1));
  driver.collect();
  assert.deepEqual(
    driver.orders.map(({ kind }) => kind),
    ['store-zeros'],
  );
});

test('blocks that cannot be right are counted and dropped', () => {
  const driver = new ClientDriver({ chunks: 4 });
  driver.join();
  const content = contentOf(1);
  const good = () => driver.block(content, 1, { chunk: 1 });
  const changes: Record<string, (bytes: Buffer) => unknown> = {
    'a chunk past the end': (bytes) => bytes.writeUInt32BE(4, 16),
    'a block past the end': (bytes) => bytes.writeUInt16BE(4, 6),
    'a raw chunk too short': (bytes) => bytes.writeUIntBE(CHUNK_SIZE - 16, 24, 3),
    'a raw chunk too long': (bytes) => bytes.writeUIntBE(CHUNK_SIZE + 16, 24, 3),
    'compressed to its own length': (bytes) => bytes.writeUInt8(Encoding.zstd << 4, 27),
    'an unknown encoding': (bytes) => bytes.writeUInt8(2 << 4, 27),
    'an unknown space': (bytes) => bytes.writeUInt8(3 << 6, 27),
    'no payload at all': (bytes) => bytes.writeUInt16BE(28, 4),
    'less payload than a block': (bytes) => bytes.writeUInt16BE(43, 4),
  };
  for (const [what, change] of Object.entries(changes)) {
    const before = driver.session.progress();
    const bytes = good();
    change(bytes);
    driver.group(bytes);
    const after = driver.session.progress();
    assert.equal(after.blocksReceived, before.blocksReceived, what);
    assert(after.packetsBad > before.packetsBad, what);
  }
  const before = driver.session.progress();
  driver.group(good(), STRANGER.address);
  assert.equal(driver.session.progress().blocksReceived, before.blocksReceived, 'not the server');
  driver.group(good());
  assert.equal(driver.session.progress().blocksReceived, before.blocksReceived + 1);
});

test('property: no packet makes the client throw, and none makes it prove what is not there', () => {
  const map = mapOf(4, [3]);
  const packets = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    ...CODECS.map(({ values, encode }) =>
      values.map((value) => encode({ ...value, session: SESSION, client: CLIENT })),
    ),
    // Block packets of any length, down to the bare header.
    fc.uint8Array({ maxLength: 40 }).map((rest) => {
      const bytes = Buffer.concat([Buffer.alloc(16), rest]);
      writeHeader(bytes, 0, PacketType.block, bytes.length, SESSION);
      return bytes;
    }),
    fc
      .tuple(fc.nat({ max: 4 }), fc.nat({ max: 3 }), fc.constantFrom(...Object.values(Space)))
      .map(([chunk, block, space]) => ({ chunk, block, space })),
  );
  fc.assert(
    fc.property(fc.array(packets, { maxLength: 15 }), fc.boolean(), (list, knowsMap) => {
      const driver = new ClientDriver({ chunks: 4, slotCount: 2 });
      driver.join(knowsMap ? { mapId: map.id } : {});
      for (const packet of list) {
        const bytes = Buffer.isBuffer(packet)
          ? packet
          : driver.block(contentOf(packet.chunk), packet.block, packet);
        driver.group(bytes);
        driver.session.handleUnicast(bytes, SERVER.address, SERVER.port, driver.now);
        driver.session.handleUnicast(bytes, STRANGER.address, STRANGER.port, driver.now);
        if (driver.session.failure !== null) return;
        driver.store();
        driver.run(3);
      }
      assert.equal(driver.session.isProven, false);
    }),
    { numRuns: 150 },
  );
});

test('a flood of foreign packets causes few map requests', () => {
  const driver = new ClientDriver({ chunks: 4, config: { timeoutMs: 100_000 } });
  driver.join();
  const foreign = Buffer.alloc(16);
  writeHeader(foreign, 0, PacketType.status, 16, SESSION + 1n);
  let mapRequests = 0;
  for (let tick = 0; tick < 1000; tick++) {
    driver.group(foreign);
    mapRequests += driver.run(1).mapRequests;
  }
  assert(mapRequests >= 2 && mapRequests <= 6, `${mapRequests} in a second`);
});

test('a description that no image can have is passed over, and told of once', () => {
  const driver = new ClientDriver({ chunks: 3 });
  driver.run(5);
  for (let time = 0; time < 3; time++) driver.answer({ imageSize: 2 ** 50, chunkSize: 16 });
  assert.equal(driver.session.description, null);
  const notices = driver.takeEvents().filter(({ type }) => type === 'notice');
  assert.equal(notices.length, 1);
  assert.match((notices[0] as { text: string }).text, /cannot be worked with.*chunks of 16/);
});

/** What a forger may say of the session that is received, whose number it saw in the stream. */
const FORGERIES: Record<string, Partial<ImageDescription>> = {
  'another size': { imageSize: 5 * CHUNK_SIZE },
  'other chunks': { chunkSize: 2 * CHUNK_SIZE },
  'other blocks': { blockSize: 2 * BLOCK_SIZE },
  'another name': { name: 'other.img' },
  'other sectors': { sectorSizeBytes: 4096 },
  'another group': { group: '239.255.76.68' },
  'another port of the group': { port: 9001 },
  'another map': { mapId: Buffer.alloc(32, 7) },
};

for (const [what, forgery] of Object.entries(FORGERIES)) {
  test(`a forged description of the own session, with ${what}, changes nothing`, () => {
    const map = mapOf(4);
    const driver = new ClientDriver({ chunks: 4 });
    driver.join({ mapId: map.id });
    driver.sendMap(map);
    driver.send(0, contentOf(0));
    driver.store();
    for (const from of [STRANGER, SERVER]) {
      const before = driver.session.progress();
      const { description } = driver.session;
      driver.answer({ mapId: map.id, streamAddress: STRANGER.address, ...forgery }, from);
      assert.equal(driver.session.description, description);
      assert.deepEqual(driver.session.progress(), { ...before, packetsBad: before.packetsBad + 1 });
      assert.equal(driver.session.serverAddress, SERVER.address);
      assert.equal(driver.session.awaitedStream, null);
    }
    // The true server goes on, and is known again when it was started anew.
    driver.send(1, contentOf(1));
    driver.answer({ session: SESSION + 1n, mapId: map.id });
    assert.equal(driver.session.failure, null);
    assert(driver.takeEvents().some(({ type }) => type === 'server-restarted'));
    driver.store();
    assert.deepEqual(chunksAsked(driver.run(50).blockRequests), [2, 3]);
  });
}

test('a description of the own session that agrees may tell that the server has moved', () => {
  const map = mapOf(4);
  const driver = new ClientDriver({ chunks: 4 });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  const { packetsBad } = driver.session.progress();
  driver.answer({ mapId: map.id }, { address: '10.0.0.9', port: 7500 });
  assert.equal(driver.session.serverAddress, '10.0.0.9');
  assert.equal(driver.session.progress().packetsBad, packetsBad);
});

test('a server that was started again, and then names another map, has another image', () => {
  const map = mapOf(4);
  const other = Buffer.alloc(32, 7);
  const driver = new ClientDriver({ chunks: 4 });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  driver.answer({ session: SESSION + 1n, mapId: null });
  driver.answer({ session: SESSION + 1n, mapId: other }, STRANGER);
  const codeOf = () => driver.session.failure?.code;
  assert.equal(codeOf(), undefined, 'a stranger says so');
  driver.answer({ session: SESSION + 1n, mapId: other });
  assert.equal(codeOf(), 'OTHER_IMAGE');
});
