/**
 * What is parsed of statements, signatures and keys, and what sealed packets, windows and registers
 * make of anything: nothing is thrown, nothing false is taken, nothing is taken twice.
 */

import { encodeFarewell } from '../../src/protocol/from-server.js';
import {
  countOf,
  hasSealedForm,
  openPacket,
  PacketSealer,
  senderOf,
} from '../../src/trust/control-seal.js';
import { parseKeyFile } from '../../src/trust/key-file.js';
import { isSignedBy, parsePublicKey, parseSignature } from '../../src/trust/minisign.js';
import { ReplayWindow } from '../../src/trust/replay-window.js';
import { ChunkSealer } from '../../src/trust/seal.js';
import { formatStatement, parseStatement } from '../../src/trust/statement.js';
import { Signer } from '../minisign.js';
import type { Random } from '../sim/random.js';
import { mutate } from './mutate.js';
import { type FuzzTarget, packetStep, promise, readStep } from './steps.js';

const KEY = Buffer.alloc(32, 0x17);
const SIGNER = new Signer(KEY, Buffer.from('lab keys'));
const PUBLIC_KEY = parsePublicKey(SIGNER.publicKeyLine)!;
const STATEMENT = formatStatement({
  name: 'lab.img',
  sizeBytes: 8_589_934_592,
  chunkSizeBytes: 1_048_576,
  mapId: '0f'.repeat(32),
  time: '2026-11-29T12:34:56Z',
});
const SIGNATURES = [true, false].map((isPrehashed) =>
  Buffer.from(SIGNER.sign(STATEMENT, { isPrehashed })),
);
const SEALED = new PacketSealer(KEY, Buffer.alloc(12, 0x2a)).seal(
  encodeFarewell({ session: 7n, client: 5n, isDropped: false }),
);
const CHUNK_ADDRESS = { chunk: 5, kindByte: 0x13 };
const CHUNK = Buffer.alloc(116, 'chunk');
new ChunkSealer(KEY).seal(CHUNK, 100, CHUNK_ADDRESS.chunk, CHUNK_ADDRESS.kindByte);

const SOUND: Record<string, readonly Buffer[]> = {
  statement: [STATEMENT],
  signature: SIGNATURES,
  publicKey: [Buffer.from(SIGNER.publicKeyFile), Buffer.from(SIGNER.publicKeyLine)],
  keyFile: [Buffer.from(`${KEY.toString('base64')}\n`)],
  sealed: [SEALED],
  chunk: [CHUNK],
};

export class TrustTarget implements FuzzTarget {
  readonly name = 'trust';

  makeStart(random: Random): string {
    return this.makeStep(random);
  }

  makeStep(random: Random): string {
    const verb = random.pick(Object.keys(SOUND));
    const sound = SOUND[verb]!;
    return packetStep(verb, mutate(random, random.pick(sound), random.pick(sound)));
  }

  run(steps: readonly string[]): void {
    const window = new ReplayWindow();
    const taken = new Set<string>();
    for (const line of steps) {
      const { verb, bytes } = readStep(line);
      if (verb === 'sealed') openOnce(bytes, window, taken);
      else look(verb, bytes);
    }
  }
}

function openOnce(bytes: Buffer, window: ReplayWindow, taken: Set<string>): void {
  const before = Buffer.from(bytes);
  const plain = openPacket(KEY, bytes);
  promise(bytes.equals(before), 'a sealed packet is left as it is');
  promise(plain === null || bytes.equals(SEALED), 'only what was sealed is opened');
  if (!hasSealedForm(bytes)) return;
  // Windows are only asked about what was opened: no sender goes half way round its counts.
  const [sender, count] = [senderOf(bytes), countOf(bytes) % 2 ** 46];
  if (!window.take(sender, count)) return;
  promise(!window.isNew(sender, count), 'what was taken is old');
  promise(!taken.has(`${sender} ${count}`), 'nothing is taken twice');
  taken.add(`${sender} ${count}`);
}

function look(verb: string, bytes: Buffer): void {
  switch (verb) {
    case 'statement': {
      const statement = parseStatement(bytes);
      if (statement === null) break;
      promise(formatStatement(statement).equals(bytes), 'there is one way to write a statement');
      break;
    }
    case 'signature': {
      const signature = parseSignature(bytes);
      if (signature === null || !isSignedBy(PUBLIC_KEY, STATEMENT, signature)) break;
      const isOurs = SIGNATURES.some((sound) => coveredOf(bytes) === coveredOf(sound));
      promise(isOurs, 'only what was signed holds');
      break;
    }
    case 'publicKey':
      parsePublicKey(bytes.toString());
      break;
    case 'keyFile':
      promise(parseKeyFile(bytes.toString('latin1'))?.length !== 0, 'a key has bytes');
      break;
    default: {
      const before = Buffer.from(bytes);
      const address = { ...CHUNK_ADDRESS, sealedBytes: bytes.length };
      const length = new ChunkSealer(KEY).open(bytes, address);
      promise(length < 0 || before.equals(CHUNK), 'only what was sealed is opened');
      promise(length >= 0 || bytes.equals(before), 'what is no seal stays as it is');
    }
  }
}

/** All lines but the first, which says of itself that it is not trusted. */
const coveredOf = (signature: Buffer): string =>
  signature.toString('latin1').split(/\r?\n/).slice(1, 4).join('\n');
