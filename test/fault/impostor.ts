/**
 * A program of its own: a rival server that claims to have an image which it has not. It answers
 * at once, names the true map id, hands out the true statement, says that it is at work, and sends
 * blocks of its own. What it is told comes as JSON on its command line; a line says that it hears.
 */
import dgram from 'node:dgram';
import { readFileSync } from 'node:fs';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { BLOCK_HEADER_BYTES, Encoding, Space } from '../../src/protocol/block.js';
import { decodeMapRequest } from '../../src/protocol/from-client.js';
import { encodeImageDescription, encodeStatus } from '../../src/protocol/from-server.js';
import { PacketType, packetLength, packetType } from '../../src/protocol/packet.js';
import { decodeStatementRequest, encodeStatement } from '../../src/protocol/statement-packets.js';
import { writeBlockHeader } from '../unit/block-header.js';

export interface ImpostorOptions {
  ownAddress: string;
  group: string;
  port: number;
  serverPort: number;
  name: string;
  sizeBytes: number;
  /** In hex. */
  mapId: string;
  /** Files of the true statement and its signature. */
  statementPath?: string;
  signaturePath?: string;
}

const SESSION = 0xbadn;
const BLOCK_BYTES = 1024;
const STATUS_MS = 100;
const BLOCKS_AT_ONCE = 16;

const options = JSON.parse(process.argv[2] ?? '{}') as ImpostorOptions;
const { group, port, ownAddress } = options;
const mapId = Buffer.from(options.mapId, 'hex');
const fileOf = (path: string | undefined) =>
  path === undefined ? Buffer.alloc(0) : readFileSync(path);
const statement = fileOf(options.statementPath);
const signature = fileOf(options.signaturePath);
let position = 1;

const describe = (client: bigint): Buffer =>
  encodeImageDescription({
    session: SESSION,
    client,
    imageSize: options.sizeBytes,
    chunkSize: chunkSizeBytes,
    blockSize: BLOCK_BYTES,
    mapId,
    group,
    port,
    otherSessions: 0,
    position,
    sectorSizeBytes: 0,
    streamAddress: '',
    requestWindowMs: 0,
    reportIntervalMs: 20,
    name: options.name,
  });

const status = (): Buffer =>
  encodeStatus({
    session: SESSION,
    position,
    cursor: 0,
    pendingChunks: 1,
    isIdle: false,
    awaitedClients: null,
    mapId,
    reportIntervalMs: 20,
    requestWindowMs: 0,
    joinWindowMs: 0,
    sentinels: [],
  });

/** Blocks of a chunk of the image, or of what is to be the root of its map. */
function block(number: number): Buffer {
  const space = number % 4 === 0 ? Space.mapRoot : Space.image;
  const encodedLength = space === Space.mapRoot ? 64 : chunkSizeBytes;
  const payloadBytes = Math.min(BLOCK_BYTES, encodedLength);
  const bytes = Buffer.alloc(BLOCK_HEADER_BYTES + payloadBytes, 0xee);
  const at = space === Space.mapRoot ? 0 : number % (chunkSizeBytes / BLOCK_BYTES);
  const place = { session: SESSION, chunk: 0, block: at, position: position++ };
  const kind = { space, encoding: Encoding.raw, variant: 0, encodedLength };
  writeBlockHeader(bytes, 0, { ...place, ...kind }, payloadBytes);
  return bytes;
}

const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true });
socket.on('message', (bytes, { address, port: from }) => {
  if (packetLength(bytes, 0, bytes.length) !== bytes.length) return;
  const type = packetType(bytes, 0);
  const request = type === PacketType.mapRequest ? decodeMapRequest(bytes) : null;
  if (request !== null) socket.send(describe(request.client), from, address);
  const asked = type === PacketType.statementRequest ? decodeStatementRequest(bytes) : null;
  if (asked === null) return;
  const { client } = asked;
  socket.send(encodeStatement({ session: SESSION, client, statement, signature }), from, address);
});
socket.bind(options.serverPort, () => {
  socket.addMembership(group, ownAddress);
  socket.setMulticastInterface(ownAddress);
  process.stdout.write('ready\n');
});

const sender = dgram.createSocket('udp4');
sender.bind({ address: ownAddress }, () => {
  sender.setMulticastInterface(ownAddress);
  setInterval(() => {
    sender.send(status(), port, group);
    for (let count = 0; count < BLOCKS_AT_ONCE; count++) sender.send(block(position), port, group);
  }, STATUS_MS);
});
