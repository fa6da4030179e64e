import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientConfig } from '../../src/client/config.js';
import { type BlockMap, BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import { encodeNotice, encodeZeroRanges } from '../../src/protocol/from-server.js';
import { encodeStatement } from '../../src/protocol/statement-packets.js';
import { parsePublicKey, parseSignature } from '../../src/trust/minisign.js';
import { formatStatement, type Statement } from '../../src/trust/statement.js';
import { digestOf } from '../digest.js';
import { Signer } from '../minisign.js';
import { ClientDriver, chunksAsked, SERVER, STRANGER } from './client-driver.js';
import { CHUNK_SIZE, CLIENT, contentOf, mapOf, SESSION } from './server-driver.js';

const numbers = (count: number) => [...Array(count).keys()];
const idOf = (map: BlockMap) => map.id.toString('hex');
const RIVAL = { session: SESSION + 5n, mapId: mapOf(7).id };

/** A client that is to take one image only. */
function expecting(map: BlockMap, config: Partial<ClientConfig> = {}, chunks = 4): ClientDriver {
  const expect = idOf(map).slice(0, 16);
  const driver = new ClientDriver({ chunks, config: { expect, ...config } });
  driver.run(1);
  return driver;
}

/** The operator's key, and one of somebody else. */
const OWNER = new Signer(Buffer.alloc(32, 0x17), Buffer.from('lab keys'));
const OTHER = new Signer(Buffer.alloc(32, 0x18), Buffer.from('own keys'));
/** Of another owner, but with the same id. */
const TWIN = new Signer(Buffer.alloc(32, 0x19), Buffer.from('lab keys'));
const trusted = [parsePublicKey(OWNER.publicKeyLine)!];
const NONE = Buffer.alloc(0);

const statementOf = (map: BlockMap, changes: Partial<Statement> = {}): Buffer =>
  formatStatement({
    name: 'disk.img',
    sizeBytes: 4 * CHUNK_SIZE,
    chunkSizeBytes: CHUNK_SIZE,
    mapId: idOf(map),
    time: '2026-11-29T12:00:00Z',
    ...changes,
  });

/** The server answers about whose image it is. */
function state(
  driver: ClientDriver,
  statement: Buffer,
  signer: Signer | null,
  { session = SESSION, from = SERVER } = {},
): void {
  const signature = signer === null ? NONE : Buffer.from(signer.sign(statement));
  const bytes = encodeStatement({ session, client: CLIENT, statement, signature });
  driver.session.handleUnicast(bytes, from.address, from.port, driver.now);
}

/** A client that takes only what the owner has signed, and has asked the server. */
function trusting(map: BlockMap, config: Partial<ClientConfig> = {}): ClientDriver {
  const driver = new ClientDriver({ chunks: 4, config: { trusted, ...config } });
  driver.run(1);
  driver.answer({ mapId: map.id });
  assert.equal(driver.run(1).statementRequests, 1);
  return driver;
}

const codeOf = (driver: ClientDriver) => driver.session.failure?.code;

const passedOver = (driver: ClientDriver) =>
  driver.takeEvents().flatMap((event) => (event.type === 'server-passed-over' ? [event] : []));

test('a rival is named once and passed over, however often it answers first', () => {
  const map = mapOf(4);
  const driver = expecting(map);
  for (let time = 0; time < 3; time++) {
    driver.answer(RIVAL, STRANGER);
    driver.run(50);
  }
  const events = passedOver(driver).map(({ address, code, mapId }) => [address, code, mapId]);
  assert.deepEqual(events, [[STRANGER.address, 'EXPECTED_OTHER', idOf(mapOf(7))]]);
  assert.equal(driver.step, null);
  driver.answer({ mapId: map.id });
  driver.run(1);
  assert.equal(driver.step, 'open');
  assert.equal(driver.session.serverAddress, SERVER.address);
});

test('two servers of the image that is expected are no choice to make', () => {
  const map = mapOf(4);
  const driver = expecting(map);
  driver.answer({ mapId: map.id, otherSessions: 1 });
  driver.answer({ mapId: map.id, session: SESSION + 1n }, STRANGER);
  driver.run(500);
  assert.equal(driver.session.failure, null);
  assert.equal(driver.session.serverAddress, SERVER.address);
});

test('a server that has no map yet is asked until it has one', () => {
  const map = mapOf(4);
  const driver = expecting(map);
  driver.answer();
  assert.ok(driver.run(3000).mapRequests >= 2);
  assert.equal(driver.step, null);
  driver.answer({ mapId: map.id });
  driver.run(1);
  assert.equal(driver.step, 'open');
});

test('without a server to take from, the last one passed over is the reason to give up', () => {
  const driver = expecting(mapOf(4), { giveUpMs: 5000 });
  driver.answer(RIVAL, STRANGER);
  driver.run(4900);
  assert.equal(codeOf(driver), undefined);
  driver.run(200);
  assert.equal(codeOf(driver), 'EXPECTED_OTHER');
  assert.match(driver.session.failure!.message, /^gave up after [\d.]+ s: the server at /);
});

test('a server that the operator named, and that serves another image, ends the run at once', () => {
  const driver = expecting(mapOf(4), { serverHost: SERVER.address });
  driver.answer(RIVAL, STRANGER);
  assert.equal(driver.session.failure?.code, 'EXPECTED_OTHER');
  assert.deepEqual(passedOver(driver), [], 'what ends the run is said once');
});

/** One that has chosen, and holds nothing of the map. */
function joined(map: BlockMap, zeros: number[] = []): ClientDriver {
  const driver = expecting(map, {}, 4);
  driver.answer({ mapId: map.id });
  driver.begin();
  assert.deepEqual(chunksAsked(driver.run(20).blockRequests), [], `zeros ${zeros}`);
  return driver;
}

test('what no file system uses is left alone, once the map says that it is free', () => {
  const builder = new BlockMapBuilder(new Geometry(4 * CHUNK_SIZE, CHUNK_SIZE), digestOf);
  for (const chunk of [0, 1]) builder.setData(chunk, digestOf(contentOf(chunk)));
  builder.setFreeRange(2, 2);
  const map = builder.finish();
  const driver = joined(map);
  driver.disk.fill(0x55);
  // Anybody could have said so, and of chunks that hold data.
  const ranges = [{ first: 1, count: 3 }];
  const position = driver.position++;
  driver.group(encodeZeroRanges({ session: SESSION, isFree: true, position, ranges }));
  driver.store();
  assert.equal(driver.session.progress().freeBytes, 0);
  driver.sendMap(map);
  driver.store();
  assert.equal(driver.session.progress().freeBytes, 2 * CHUNK_SIZE);
  assert.deepEqual(chunksAsked(driver.run(50).blockRequests), [0, 1]);
  for (const chunk of [0, 1]) driver.send(chunk, contentOf(chunk));
  driver.store();
  assert.equal(driver.session.isProven, true);
  assert.ok(driver.disk.subarray(2 * CHUNK_SIZE).every((byte) => byte === 0x55));
});

test('nothing is written before the map vouches for it', () => {
  const map = mapOf(4, [3]);
  const driver = joined(map);
  driver.disk.fill(0x55);
  driver.send(0, contentOf(0));
  driver.send(3, contentOf(3));
  const ranges = [{ first: 1, count: 3 }];
  driver.group(
    encodeZeroRanges({ session: SESSION, isFree: false, position: driver.position++, ranges }),
  );
  driver.store();
  assert.ok(driver.disk.every((byte) => byte === 0x55));
  driver.sendMap(map);
  assert.deepEqual(chunksAsked(driver.run(50).blockRequests), [0, 1, 2]);
  driver.send(1, Buffer.alloc(CHUNK_SIZE, 0xee));
  driver.store();
  assert.ok(driver.disk.subarray(CHUNK_SIZE, 2 * CHUNK_SIZE).every((byte) => byte === 0x55));
});

test('once the map is there, the copy is made', () => {
  const map = mapOf(4, [3]);
  const driver = joined(map, [3]);
  driver.sendMap(map);
  driver.store();
  for (const chunk of numbers(3)) driver.send(chunk, contentOf(chunk));
  driver.store();
  driver.run(5);
  assert.equal(driver.session.isProven, true);
  const content = numbers(3).map(contentOf);
  assert.deepEqual(driver.disk, Buffer.concat([...content, Buffer.alloc(CHUNK_SIZE)]));
});

test('a map of another id is not begun, whoever names it', () => {
  const map = mapOf(4);
  const driver = joined(map);
  driver.status({ mapId: mapOf(7).id });
  assert.equal(driver.session.mapId, idOf(map));
  driver.sendMap(map);
  driver.status({ mapId: mapOf(7).id });
  assert.equal(driver.session.mapId, idOf(map));
});

test('a notice that chunks cannot be read does not end a copy whose map is to come', () => {
  const map = mapOf(4);
  const driver = joined(map);
  const notice = { session: SESSION, code: 3, first: 0, count: 4, text: 'unreadable' } as const;
  driver.group(encodeNotice(notice));
  driver.run(5000);
  assert.equal(driver.session.failure, null);
});

test('a signed image is taken, once its statement has come', () => {
  const map = mapOf(4);
  const driver = trusting(map);
  assert.equal(driver.step, null);
  state(driver, statementOf(map), OWNER);
  driver.run(1);
  assert.equal(driver.step, 'open');
  const signed = driver.takeEvents().filter(({ type }) => type === 'image-signed');
  const { keyId } = parseSignature(Buffer.from(OWNER.sign(NONE)))!;
  assert.deepEqual(signed, [{ type: 'image-signed', keyId, comment: 'a comment' }]);
  driver.begin();
  driver.status({ mapId: mapOf(7).id });
  assert.equal(driver.session.mapId, idOf(map), 'it is pinned');
});

const MAP = mapOf(4);

for (const [what, code, exitStatus, statement, signer] of [
  ['no signature', 'NOT_SIGNED', 10, statementOf(MAP), null],
  ['nothing at all', 'NOT_SIGNED', 10, NONE, null],
  ['a false signature', 'BAD_SIGNATURE', 11, statementOf(MAP), TWIN],
  ['the signature of another key', 'OTHER_SIGNER', 12, statementOf(MAP), OTHER],
  ['another name', 'OTHER_STATEMENT', 13, statementOf(MAP, { name: 'other.img' }), OWNER],
  ['another size', 'OTHER_STATEMENT', 13, statementOf(MAP, { sizeBytes: 5 }), OWNER],
  ['another map', 'OTHER_STATEMENT', 13, statementOf(mapOf(5)), OWNER],
  ['no statement', 'OTHER_STATEMENT', 13, Buffer.from('lab.img'), OWNER],
  ['an old time', 'OLDER_IMAGE', 14, statementOf(MAP, { time: '2026-11-28T23:59:59Z' }), OWNER],
] as const) {
  for (const isServerNamed of [false, true]) {
    const how = isServerNamed ? 'ends the run' : 'is passed over';
    test(`a server with ${what} ${how}: ${code}`, () => {
      const newerThan = '2026-11-29T00:00:00Z';
      const named = isServerNamed ? { serverHost: SERVER.address } : {};
      const driver = trusting(MAP, { newerThan, ...named, giveUpMs: 5000 });
      state(driver, statement, signer);
      assert.deepEqual(
        passedOver(driver).map((event) => event.code),
        isServerNamed ? [] : [code],
      );
      assert.equal(codeOf(driver), isServerNamed ? code : undefined);
      driver.run(5000);
      assert.equal(codeOf(driver), code);
      assert.equal(driver.session.failure?.exitStatus, exitStatus);
      assert.equal(driver.step, null);
    });
  }
}

test('a signature that is cut short or spoilt anywhere is none', () => {
  const statement = statementOf(MAP);
  const good = Buffer.from(OWNER.sign(statement));
  // The last line may lack its end.
  for (let at = 0; at < good.length - 1; at++) {
    const spoilt = Buffer.from(good);
    spoilt[at]! ^= 1;
    const driver = trusting(MAP);
    const client = CLIENT;
    for (const signature of [spoilt, good.subarray(0, at)]) {
      driver.answer({ mapId: MAP.id });
      const bytes = encodeStatement({ session: SESSION, client, statement, signature });
      driver.session.handleUnicast(bytes, SERVER.address, SERVER.port, driver.now);
    }
    driver.run(1);
    // What stands behind "untrusted comment: " is not covered, as its name says.
    const isComment = at >= 'untrusted comment: '.length && at < good.indexOf('\n');
    assert.equal(driver.step, isComment ? 'open' : null, `byte ${at}`);
  }
});

test('only what was asked for is judged, and once', () => {
  const driver = trusting(MAP);
  state(driver, statementOf(MAP), OWNER, { from: STRANGER });
  state(driver, statementOf(MAP), OWNER, { session: SESSION + 1n });
  state(driver, statementOf(MAP), null);
  state(driver, statementOf(MAP), OWNER);
  driver.run(1);
  assert.equal(driver.step, null);
  driver.answer({ mapId: MAP.id });
  assert.equal(driver.run(1).statementRequests, 1);
  state(driver, statementOf(MAP), OWNER);
  driver.run(1);
  assert.equal(driver.step, 'open');
});

const LIAR = { ...STRANGER, session: SESSION + 5n };

/** A client that has chosen a rival which names the id of the true map, and hands it out. */
function ledAstray(config: Partial<ClientConfig> = {}): ClientDriver {
  const driver = expecting(MAP, config);
  driver.answer({ session: LIAR.session, mapId: MAP.id }, STRANGER);
  driver.run(1);
  assert.equal(driver.session.serverAddress, STRANGER.address);
  driver.begin();
  driver.speaker = LIAR;
  driver.disk.fill(0x55);
  return driver;
}

/** The rival sends for so long what it has: of a map, if any, and of chunks. */
function hear(driver: ClientDriver, forMs: number, map: BlockMap | null) {
  let mapRequests = 0;
  for (let ms = 0; ms < forMs; ms += 500) {
    driver.status({ mapId: MAP.id, isIdle: false });
    if (map !== null) driver.sendMap(map);
    driver.send(1, Buffer.alloc(CHUNK_SIZE, 0xee));
    driver.store();
    mapRequests += driver.run(500).mapRequests;
  }
  return mapRequests;
}

for (const [what, map] of [
  ['no map', null],
  ['a false map', mapOf(7)],
  ['the true map', MAP],
] as const) {
  test(`a rival that lies about its id, with ${what}, is left for the true server`, () => {
    const driver = ledAstray();
    hear(driver, 9500, map);
    driver.answer({ mapId: MAP.id });
    assert.equal(driver.session.serverAddress, STRANGER.address, 'not before there are doubts');
    assert.ok(hear(driver, 2000, map) > 0, 'others are looked for');
    assert.ok(driver.disk.every((byte) => byte === 0x55));
    driver.answer({ mapId: MAP.id });
    assert.equal(driver.session.serverAddress, SERVER.address);
    driver.speaker = { ...SERVER, session: SESSION };
    driver.sendMap(MAP);
    for (const chunk of numbers(4)) driver.send(chunk, contentOf(chunk));
    driver.store();
    driver.run(5);
    assert.equal(driver.session.isProven, true);
    assert.deepEqual(driver.disk, Buffer.concat(numbers(4).map(contentOf)));
  });
}

test('a rival that says it waits is left later, and the operator is told of it once', () => {
  const driver = ledAstray();
  const wait = (forMs: number) => {
    for (let ms = 0; ms < forMs; ms += 500) {
      driver.status({ mapId: MAP.id, awaitedClients: 3 });
      driver.run(500);
    }
  };
  wait(50_000);
  const doubts = () =>
    driver
      .takeEvents()
      .filter((event) => event.type === 'notice' && /only says that it waits/.test(event.text));
  assert.equal(doubts().length, 0);
  wait(30_000);
  assert.equal(doubts().length, 1);
  driver.answer({ mapId: MAP.id });
  assert.equal(driver.session.serverAddress, SERVER.address);
});

test('who gives up soon when nothing comes looks for another server before that', () => {
  const driver = ledAstray({ giveUpMs: 3000 });
  assert.equal(hear(driver, 1500, null), 0, 'something comes');
  driver.status({ mapId: MAP.id, isIdle: false });
  assert.ok(driver.run(1500).mapRequests > 0);
});

/** A server that may have the image, and describes it. */
interface Candidate {
  address: string;
  port: number;
  session: bigint;
}

/** All answer until one of them is taken, in this order each time. */
function turnToOneOf(driver: ClientDriver, candidates: Candidate[], map: BlockMap | null): string {
  const before = driver.session.serverAddress;
  for (let seconds = 0; seconds < 400; seconds++) {
    hear(driver, 1000, map);
    for (const one of candidates) driver.answer({ session: one.session, mapId: MAP.id }, one);
    const now = driver.session.serverAddress!;
    if (now === before) continue;
    driver.speaker = candidates.find(({ address }) => address === now)!;
    return now;
  }
  throw new Error('nobody was taken');
}

const QUICK: Candidate = { address: '10.6.6.7', port: 667, session: SESSION + 7n };
const TRUE: Candidate = { ...SERVER, session: SESSION };

test('rivals that always answer first do not keep a client from the true server', () => {
  const driver = ledAstray();
  const candidates = [LIAR, QUICK, TRUE];
  assert.equal(turnToOneOf(driver, candidates, null), QUICK.address);
  assert.equal(turnToOneOf(driver, candidates, null), TRUE.address);
  // It has nothing for this client for so long that it is left, and come back to in its turn.
  const turns = Array.from({ length: 4 }, () => turnToOneOf(driver, candidates, null));
  assert.deepEqual(
    turns,
    [LIAR, QUICK, TRUE, LIAR].map(({ address }) => address),
  );
});

test('a server that is come back to gets more time, so that a slow one comes to its end', () => {
  const driver = ledAstray();
  const candidates = [LIAR, TRUE];
  const stays: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    const since = driver.now;
    turnToOneOf(driver, candidates, null);
    stays.push(Math.round((driver.now - since) / 10_000));
  }
  assert.deepEqual(stays, [1, 1, 2, 2, 4, 4]);
});

test('a server of which something is proven is not left', () => {
  const driver = ledAstray();
  for (const chunk of numbers(4)) {
    hear(driver, 9000, MAP);
    driver.send(chunk, contentOf(chunk));
    driver.store();
    driver.answer({ mapId: MAP.id });
    assert.equal(driver.session.serverAddress, STRANGER.address);
  }
});

test('while a copy is made, a late statement changes nothing, and a spoilt one counts as bad', () => {
  const driver = trusting(MAP);
  state(driver, statementOf(MAP), OWNER);
  driver.run(1);
  driver.begin();
  state(driver, statementOf(MAP), OTHER);
  assert.equal(driver.session.progress().packetsBad, 0);
  const [statement, signature] = [statementOf(MAP), NONE];
  const good = encodeStatement({ session: SESSION, client: CLIENT, statement, signature });
  for (let at = 0; at < good.length; at++) {
    const spoilt = Buffer.from(good);
    spoilt[at]! ^= 1;
    driver.session.handleUnicast(spoilt, SERVER.address, SERVER.port, driver.now);
  }
  assert.equal(driver.session.progress().packetsBad, good.length);
  assert.equal(driver.session.failure, null);
});
