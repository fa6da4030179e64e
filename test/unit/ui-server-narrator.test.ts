import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FleetMember, ServedClient, ServerProgress } from '../../src/server/events.js';
import { ServerNarrator } from '../../src/ui/server-narrator.js';
import { fitStatus } from '../../src/ui/terminal-printer.js';
import type { Narrator } from '../../src/ui/watcher.js';

function statusOf<Event>(narrator: Narrator<Event>, columns = 300): string | undefined {
  const status = narrator.status();
  return status && fitStatus({ ...status, ratio: undefined }, columns).replace(/ {3,}/g, '  ');
}

const GB = 1e9;

function served(changes: Partial<ServedClient> = {}): FleetMember {
  return {
    id: '0123456789abcdef',
    host: 'pc-07',
    label: '',
    address: '10.0.0.7',
    machine: '00000000000000aa',
    missingChunks: 1,
    provenChunks: 0,
    state: 'receiving',
    lossRatio: 0,
    followed: true,
    receivedPacketsPerSecond: 0,
    identity: {},
    holdsCopy: false,
    isReleased: false,
    elapsedMs: 0,
    totalLossRatio: 0,
    silentMs: 0,
    trouble: 0,
    reason: '',
    ...changes,
  };
}

function serverProgress(changes: Partial<ServerProgress> = {}): ServerProgress {
  return {
    state: 'sending',
    awaitedClients: null,
    presentCount: 0,
    underWayCount: 0,
    preparedRatio: 1,
    chunkCount: 4000,
    pendingChunks: 3000,
    cursorChunk: 1000,
    pass: 1,
    blocksSent: 0,
    wireBytes: 0,
    rateBitsPerSecond: GB,
    clients: [],
    packetsBad: 0,
    ...changes,
  };
}

function server() {
  const clock = { nowMs: 0 };
  const narrator = new ServerNarrator(() => clock.nowMs);
  const progress = (changes: Partial<ServerProgress>): void => {
    narrator.tell({ type: 'progress', progress: serverProgress(changes) });
  };
  return { clock, narrator, progress };
}

test('what must not be overlooked is said as such, and who can start from the network', () => {
  const { narrator } = server();
  const warning = { type: 'warning', text: 'disks are lost' } as const;
  assert.equal(narrator.tell(warning), 'WARNING: disks are lost');
  assert.equal(narrator.isAlarming(warning), true);
  const netboot = {
    type: 'netboot',
    address: '10.0.0.1',
    serverPort: 7500,
    mode: 'proxy',
    isUnattended: false,
  } as const;
  assert.equal(narrator.isAlarming(netboot), false);
  assert.match(
    narrator.tell(netboot)!,
    /network of 10\.0\.0\.1 .*beside its DHCP server, .* TCP port 7500\); each asks for a 'yes'/,
  );
});

test('a server tells what it serves, who comes, who is done and who fails', () => {
  const { narrator } = server();
  assert.equal(
    narrator.tell({
      type: 'serving',
      path: '/srv/lab.img',
      name: 'lab.img',
      sizeBytes: 4 * GB,
      group: '225.0.20.10',
      port: 16000,
      serverPort: 7500,
      interface: 'eth0',
      blockSizeBytes: 1448,
      ceilingBitsPerSecond: 1000,
      transport: 'plain sockets',
    }),
    "serving 'lab.img', 4.00 GB, to 225.0.20.10:16000 on eth0, " +
      'requests to port 7500, at most 1.00 kbit/s',
  );
  assert.equal(
    narrator.tell({ type: 'client-joined', client: served() }),
    'client pc-07 (10.0.0.7) joined',
  );
  assert.equal(
    narrator.tell({ type: 'client-done', client: served({ host: '' }), doneCount: 1 }),
    'client 10.0.0.7 holds a proven copy (1 done)',
  );
  const client = { ...served({ host: 'e\u001b[2J' }), reason: 'no space\u001b is left' };
  assert.equal(
    narrator.tell({ type: 'client-failed', client, reason: 'failed' }),
    'client e\u{fffd}[2J (10.0.0.7) failed: no space\u{fffd} is left',
  );
  assert.equal(
    narrator.tell({ type: 'client-failed', client, reason: 'left' }),
    'client e\u{fffd}[2J (10.0.0.7) left without a copy',
  );
});

test('a server tells how its map came about', () => {
  const { narrator } = server();
  assert.equal(narrator.status(), undefined);
  narrator.tell({ type: 'preparing', ratio: 0.25 });
  assert.equal(statusOf(narrator), 'preparing  map 25.0 %');
  const prepared = { type: 'prepared', mapId: 'ffeeddccbbaa99887766', elapsedMs: 3200 } as const;
  assert.equal(
    narrator.tell({ ...prepared, fromCache: false }),
    'block map prepared in 3.2 s, image ffeeddccbbaa9988',
  );
  assert.equal(narrator.status(), undefined);
  assert.equal(
    narrator.tell({ ...prepared, fromCache: true }),
    'block map from the cache, image ffeeddccbbaa9988',
  );
});

test('a server shows its pass, its rate, what is pending and its clients', () => {
  const { clock, narrator, progress } = server();
  progress({});
  narrator.tell({ type: 'client-done', client: served({ state: 'done' }), doneCount: 1 });
  clock.nowMs = 1000;
  progress({
    wireBytes: 0.1 * GB,
    preparedRatio: 0.5,
    clients: [
      served(),
      served({ state: 'joined', followed: false, lossRatio: 0.02 }),
      served({ state: 'done' }),
      served({ state: 'failed', lossRatio: 0.9 }),
      served({ state: 'silent' }),
    ],
  });
  assert.equal(
    statusOf(narrator),
    'sending  pass 1 at  25.0 %  800 Mbit/s  3,000 chunks pending  -:-- left  map 50.0 %  2 ' +
      'clients  ' +
      '1 done  1 slow  1 silent  worst loss 2.0 %',
  );
});

test('an idle server says so, and no rate of an earlier burst follows it', () => {
  const { clock, narrator, progress } = server();
  progress({});
  clock.nowMs = 1000;
  progress({ wireBytes: GB });
  progress({ state: 'idle', wireBytes: GB, pendingChunks: 0 });
  assert.equal(statusOf(narrator), 'idle  no client');
  assert.equal(narrator.status()?.ratio, undefined);
  clock.nowMs = 60_000;
  progress({ wireBytes: GB });
  clock.nowMs = 61_000;
  progress({ wireBytes: 1.1 * GB });
  assert.match(statusOf(narrator)!, /800 Mbit\/s/);
});

test('the last line of a server counts clients, blocks and bytes', () => {
  const { narrator } = server();
  const progress = serverProgress({ blocksSent: 2_345_678, wireBytes: 3.4 * GB });
  assert.equal(
    narrator.tell({
      type: 'ended',
      progress,
      doneCount: 12,
      elapsedMs: 45_000,
      imageBytes: 8 * GB,
      wireBytes: 3.4 * GB,
      ratio: 8 / 3.4,
    }),
    'served 12 clients: an image of 8.00 GB, 2,345,678 blocks, ' +
      '3.40 GB over the network, 2.4 times less, in 45 s',
  );
  assert.equal(narrator.status(), undefined);
});

test('when the server leaves, it sums up what became of whom', () => {
  const { narrator } = server();
  narrator.tell({ type: 'progress', progress: serverProgress({ chunkCount: 10 }) });
  const mac = '52:54:00:12:34:56';
  narrator.tell({ type: 'client-done', client: served(), doneCount: 1 });
  const clients = [
    served({ host: 'pc-04', state: 'receiving', missingChunks: 3 }),
    { ...served({ host: 'pc-01', state: 'done' }), holdsCopy: true, identity: { mac } },
    { ...served({ host: 'pc-02', state: 'failed' }), reason: 'the disk is full' },
    served({ host: 'pc-03', state: 'silent' }),
  ];
  assert.equal(
    narrator.tell({ type: 'summary', clients }),
    `1 done: pc-01 (10.0.0.7) ${mac}\n` +
      '1 failed or stopped: pc-02 (10.0.0.7) (the disk is full)\n' +
      '1 silent: pc-03 (10.0.0.7)\n' +
      '1 under way: pc-04 (10.0.0.7) at 70.0 %',
  );
});

test('a name has what its operator calls it first, and the rest in brackets', () => {
  const { narrator } = server();
  const joined = (changes: Partial<ServedClient>) =>
    narrator.tell({ type: 'client-joined', client: served(changes) });
  assert.equal(joined({ label: 'desk 7' }), 'client desk 7 (pc-07, 10.0.0.7) joined');
  assert.equal(joined({ label: 'pc-07' }), 'client pc-07 (10.0.0.7) joined');
  assert.equal(joined({ label: 'desk 7', host: '' }), 'client desk 7 (10.0.0.7) joined');
  assert.equal(joined({ host: '10.0.0.7' }), 'client 10.0.0.7 joined');
});

test('a failure that another target has mended is named last', () => {
  const { narrator } = server();
  const mac = '52:54:00:12:34:56';
  const clients: FleetMember[] = [
    { ...served({ state: 'failed' }), identity: { mac }, silentMs: 9000, reason: 'too small' },
    { ...served({ state: 'done', label: 'desk 7' }), identity: { mac }, holdsCopy: true },
    { ...served({ state: 'failed', host: 'pc-08' }), reason: 'the disk is full' },
  ];
  narrator.tell({ type: 'client-done', client: clients[1]!, doneCount: 1 });
  const failedEarlier = 'failed earlier, with another target, on machines that are done';
  assert.equal(
    narrator.tell({ type: 'summary', clients }),
    `1 done: desk 7 (pc-07, 10.0.0.7) ${mac}\n` +
      '1 failed or stopped: pc-08 (10.0.0.7) (the disk is full)\n' +
      `1 ${failedEarlier}: pc-07 (10.0.0.7) ${mac} (too small)`,
  );
  const later = [
    { ...clients[0]!, silentMs: 0 },
    { ...clients[1]!, silentMs: 9000 },
  ];
  assert.match(narrator.tell({ type: 'summary', clients: later })!, /^1 failed or stopped: pc-07/m);
});

test('copies that are not counted are said so where they are summed up', () => {
  const { narrator } = server();
  const clients = ['a', 'b', 'c'].map((host) => ({
    ...served({ host, state: 'done' }),
    holdsCopy: true,
  }));
  narrator.tell({ type: 'client-done', client: clients[0]!, doneCount: 1 });
  assert.equal(
    narrator.tell({ type: 'summary', clients }),
    '3 done (counted as 1: without a key, one at each address): ' +
      'a (10.0.0.7), b (10.0.0.7), c (10.0.0.7)',
  );
});
