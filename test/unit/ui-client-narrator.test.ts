import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientEvent, ClientProgress } from '../../src/client/events.js';
import { ClientNarrator } from '../../src/ui/client-narrator.js';
import { fitStatus } from '../../src/ui/terminal-printer.js';
import type { Narrator } from '../../src/ui/watcher.js';

function statusOf<Event>(narrator: Narrator<Event>, columns = 300): string | undefined {
  const status = narrator.status();
  return status && fitStatus({ ...status, ratio: undefined }, columns).replace(/ {3,}/g, '  ');
}

const GB = 1e9;

function clientProgress(changes: Partial<ClientProgress> = {}): ClientProgress {
  return {
    state: 'receiving',
    awaitedClients: null,
    sizeBytes: 4 * GB,
    writtenBytes: 0,
    provenBytes: 0,
    freeBytes: 0,
    keptBytes: 0,
    differingChunks: 0,
    differingBytes: 0,
    missingChunks: 15_259,
    chunkCount: 15_259,
    wireBytes: 0,
    blocksReceived: 0,
    blocksDuplicate: 0,
    packetsLost: 0,
    packetsBad: 0,
    blockRequestsSent: 0,
    ...changes,
  };
}

function client() {
  const clock = { nowMs: 0 };
  const narrator = new ClientNarrator(() => clock.nowMs);
  const progress = (changes: Partial<ClientProgress>): void => {
    narrator.tell({ type: 'progress', progress: clientProgress(changes) });
  };
  return { clock, narrator, progress };
}

const found: ClientEvent = {
  type: 'server-found',
  address: '10.0.0.1',
  image: {
    session: '0123456789abcdef',
    name: 'lab\u001b.img',
    sizeBytes: 4 * GB,
    chunkSizeBytes: 262_144,
    chunkCount: 15_259,
    blockSizeBytes: 1448,
    mapId: null,
  },
};

test('whose signature holds is one line, safe for a terminal', () => {
  const { narrator } = client();
  const signed = {
    type: 'image-signed',
    keyId: '1F3A9AE45CB37779',
    comment: 'lab\u001b 7',
  } as const;
  assert.equal(narrator.tell(signed), 'signed by key 1F3A9AE45CB37779 (lab\ufffd 7)');
});

test('a client tells what it listens to, finds and writes', () => {
  const { narrator } = client();
  assert.equal(narrator.status(), undefined);
  assert.equal(
    narrator.tell({
      type: 'listening',
      group: 'ff02::7',
      port: 16000,
      interface: 'eth0',
      transport: 'plain sockets',
    }),
    'listening to [ff02::7]:16000 on eth0',
  );
  assert.equal(
    narrator.tell(found),
    "found 'lab\u{fffd}.img', 4.00 GB, its map still being made, at 10.0.0.1",
  );
  const target = { path: '/dev/sda', kind: 'device', description: 'disk, 500 GB' } as const;
  assert.equal(
    narrator.tell({ type: 'target', ...target, resumed: false, purpose: 'copy' }),
    'writing /dev/sda (disk, 500 GB)',
  );
  assert.equal(
    narrator.tell({ type: 'target', ...target, resumed: true, purpose: 'copy' }),
    'going on with /dev/sda (disk, 500 GB)',
  );
});

test('a client shows percent, bytes, rate, time left, missing chunks and loss', () => {
  const { clock, narrator, progress } = client();
  progress({});
  assert.equal(
    statusOf(narrator),
    'receiving  0.0 %  0 B of 4.00 GB  - bit/s  -:-- left  15,259 missing',
  );
  clock.nowMs = 1000;
  progress({ writtenBytes: GB, missingChunks: 11_445, blocksReceived: 990, packetsLost: 10 });
  assert.equal(
    statusOf(narrator),
    'receiving  25.0 %  1.00 GB of 4.00 GB  8.00 Gbit/s  0:03 left  11,445 missing  1.0 % lost',
  );
});

test('what an operator looks for fits 80 columns, for a large disk too', () => {
  const { clock, narrator, progress } = client();
  const disk = { sizeBytes: 2000 * GB, chunkCount: 7_629_395, missingChunks: 7_629_000 };
  progress(disk);
  clock.nowMs = 1000;
  progress({ ...disk, writtenBytes: 0.11 * GB });
  const line = fitStatus(narrator.status()!, 80);
  assert.match(line, /0\.0 %.*110 MB.*880 Mbit\/s.*5:03:01 left.*7,629,000 missing/);
  assert.ok(line.length < 80);
});

test('a client that proves counts what is proven, and begins its rate anew', () => {
  const { clock, narrator, progress } = client();
  progress({});
  clock.nowMs = 1000;
  progress({ writtenBytes: 4 * GB });
  clock.nowMs = 1200;
  progress({ state: 'proving', writtenBytes: 4 * GB, provenBytes: GB, missingChunks: 0 });
  assert.equal(statusOf(narrator), 'proving  25.0 %  1.00 GB of 4.00 GB  - bit/s  -:-- left');
  clock.nowMs = 2200;
  progress({ state: 'proving', writtenBytes: 4 * GB, provenBytes: 2 * GB, missingChunks: 0 });
  assert.match(statusOf(narrator)!, /50\.0 %.*8\.00 Gbit\/s {2}0:02 left/);
});

test('a server that went quiet is waited for until a block comes', () => {
  const { narrator, progress } = client();
  progress({ blocksReceived: 5 });
  narrator.tell({ type: 'quiet', missingChunks: 7 });
  assert.equal(narrator.status()?.state, 'waiting');
  progress({ blocksReceived: 5 });
  assert.equal(narrator.status()?.state, 'waiting');
  progress({ blocksReceived: 6 });
  assert.equal(narrator.status()?.state, 'receiving');
});

test('a client has a word for every state, and no status after the end', () => {
  const { narrator, progress } = client();
  progress({ state: 'discovering', sizeBytes: 0, chunkCount: 0 });
  assert.equal(statusOf(narrator), 'looking for a server');
  progress({ state: 'syncing' });
  assert.equal(statusOf(narrator), 'syncing  4.00 GB to the disk');
  for (const state of ['checking', 'verifying', 'done', 'failed'] as const) {
    progress({ state });
    assert.equal(narrator.status()?.state, state);
  }
});

test('an empty image is complete from the start', () => {
  const { narrator, progress } = client();
  progress({ sizeBytes: 0, chunkCount: 0, missingChunks: 0 });
  assert.match(statusOf(narrator)!, /100\.0 % {2}0 B of 0 B/);
});

test('the last line of a client names the copy, its size, its pace and its image', () => {
  const { narrator } = client();
  narrator.tell(found);
  const description = 'disk, 500 GB';
  narrator.tell({
    type: 'target',
    path: '/dev/sda',
    kind: 'device',
    description,
    resumed: false,
    purpose: 'copy',
  });
  const line = narrator.tell({
    type: 'proven',
    mapId: '00112233445566778899aabbccddeeff',
    progress: clientProgress({ state: 'done', writtenBytes: 4 * GB, provenBytes: 4 * GB }),
    elapsedMs: 40_000,
    ratio: null,
  });
  assert.equal(
    line,
    "proven copy of 'lab\u{fffd}.img': /dev/sda, 4.00 GB in 40 s, 800 Mbit/s on average, " +
      'image 0011223344556677',
  );
  assert.equal(narrator.status(), undefined);
});
