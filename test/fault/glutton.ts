/**
 * A program of its own: a host that pretends to be one client after the other. Each joins as it
 * should, and asks for the whole image. Runs until it is ended; says how often it asked, one JSON
 * line after the other.
 */

import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { Space } from '../../src/protocol/block.js';
import { encodeBlockRequest, encodeMapRequest } from '../../src/protocol/from-client.js';
import { decodeImageDescription } from '../../src/protocol/from-server.js';

export interface GluttonOptions {
  server: { address: string; port: number };
  chunkCount: number;
}

/** One of its lines. */
export interface GluttonNews {
  askedCount: number;
}

const intervalMs = 5;
const newsEvery = 50;

const { server, chunkCount } = JSON.parse(process.argv[2] ?? '{}') as GluttonOptions;
const socket = dgram.createSocket('udp4');
let askedCount = 0;

const send = (bytes: Buffer): void => socket.send(bytes, server.port, server.address);

socket.on('error', () => {});
socket.on('message', (bytes) => {
  const description = decodeImageDescription(bytes);
  if (description === null) return;
  const { session, client, position: asOfPosition } = description;
  const ranges = [{ first: 0, count: chunkCount }];
  send(
    encodeBlockRequest({ session, client, asOfPosition, space: Space.image, ranges, halves: [] }),
  );
  askedCount += 1;
  if (askedCount % newsEvery !== 0) return;
  process.stdout.write(`${JSON.stringify({ askedCount } satisfies GluttonNews)}\n`);
});
setInterval(() => {
  const client = randomBytes(8).readBigUInt64BE();
  send(encodeMapRequest({ client, machine: 1n, isServer: false, host: 'glutton' }));
}, intervalMs);
