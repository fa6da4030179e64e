import assert from 'node:assert/strict';
import type dgram from 'node:dgram';
import { EventEmitter } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { test } from 'node:test';
import type { GroupHandler, GroupOptions } from '../../src/node/net/group-socket.js';
import { LastingSocket, REOPEN_MS } from '../../src/node/net/lasting-socket.js';
import { openLinuxReceiver } from '../../src/node/net/linux/group-receiver.js';
import { chooseInterface } from '../../src/node/net/network-interface.js';
import { createUdpSocket } from '../../src/node/net/node-socket.js';
import { PacketGathering } from '../../src/node/net/plain/packet-gathering.js';
import { SocketReader } from '../../src/node/net/plain/socket-reader.js';
import { MAX_FAILURES_IN_ROW, ReadTrouble } from '../../src/node/net/read-trouble.js';
import { loadNative } from '../../src/node/system/native.js';

const GROUP = '239.255.76.72';
const ERRORS = { EIO: constants.errno.EIO, EBADF: constants.errno.EBADF };

test('reads that fail are told once they fail for a second, and that it is over', (t) => {
  const told: string[] = [];
  let nowMs = 0;
  t.mock.method(process, 'uptime', () => nowMs / 1000);
  const trouble = new ReadTrouble('what comes', (text) => told.push(text));
  const opened: number[] = [];
  for (; nowMs < 3000; nowMs += 20) if (trouble.failed('EIO')) opened.push(trouble.count);
  assert.deepEqual(told, [
    'what comes cannot be read (EIO); the socket is opened anew until it can be',
  ]);
  assert.equal(trouble.count, 150);
  assert.deepEqual(opened.slice(0, 2), [MAX_FAILURES_IN_ROW, 2 * MAX_FAILURES_IN_ROW]);
  trouble.succeeded();
  trouble.succeeded();
  assert.deepEqual(told.slice(1), ['what comes can be read again']);
});

test('one failing read between good ones opens nothing, and tells nothing', () => {
  const trouble = new ReadTrouble('what comes', (text) => assert.fail(text));
  for (let i = 0; i < 10 * MAX_FAILURES_IN_ROW; i++) {
    assert.equal(trouble.failed('ECONNREFUSED'), false);
    trouble.succeeded();
  }
});

/** Asks what is said to a group until it is heard. */
async function sayUntil(port: number, isHeard: () => boolean): Promise<void> {
  const socket = createUdpSocket(GROUP, { reuse: false });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  socket.setMulticastInterface('127.0.0.1');
  while (!isHeard()) {
    await new Promise((resolve) => socket.send(Buffer.alloc(100, 7), port, GROUP, resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.close();
}

const native = loadNative();

for (const code of ['EIO', 'EBADF'] as const) {
  test(`on Linux, a socket whose reads fail with ${code} is opened anew, and heard`, {
    skip: native === null,
    timeout: 20_000,
  }, async () => {
    const error = ERRORS[code];
    let reads = 0;
    let heard = 0;
    const broken = new Set<number>();
    const closed: number[] = [];
    const failing = {
      ...native!,
      recvmmsg(fd: number, messages: bigint, count: number, flags: number): number {
        reads++;
        if (broken.size === 0) broken.add(fd);
        return broken.has(fd) ? -error : native!.recvmmsg(fd, messages, count, flags);
      },
      close(fd: number): number {
        closed.push(fd);
        return native!.close(fd);
      },
    };
    const port = code === 'EIO' ? 27_111 : 27_112;
    const chosen = chooseInterface('lo', GROUP);
    const options: GroupOptions = {
      group: GROUP,
      port,
      chosen,
      ttl: 1,
      offload: true,
      ownsProcess: true,
    };
    const handler: GroupHandler = {
      onPackets(_bytes, start, end) {
        heard += end - start;
        return true;
      },
      onBatch() {},
      canTake: () => true,
      onNotice() {},
    };
    const receiver = openLinuxReceiver(options, handler, failing);
    await sayUntil(port, () => heard > 0);
    assert.ok(reads > MAX_FAILURES_IN_ROW);
    const [first] = broken;
    assert.equal(closed.includes(first!), code !== 'EBADF', 'what is no socket is left alone');
    receiver.close();
    if (code === 'EBADF') native!.close(first!);
  });
}

class FakeSocket extends EventEmitter {
  isOpen = true;
  close(): void {
    this.isOpen = false;
  }
}

test('a socket of Node with many errors is closed, and opened anew a moment later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const sockets: FakeSocket[] = [];
  const messages: string[] = [];
  let closings = 0;
  let canOpen = true;
  const lasting = await LastingSocket.open(
    {
      async open() {
        if (!canOpen) throw new Error('no more sockets');
        sockets.push(new FakeSocket());
        return sockets.at(-1) as unknown as dgram.Socket;
      },
      onMessage: (bytes) => messages.push(`${bytes}`),
      onClosed: () => closings++,
    },
    new ReadTrouble('what comes', () => {}),
  );
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const fail = () => sockets.at(-1)!.emit('error', Object.assign(new Error('x'), { code: 'EIO' }));
  for (let i = 0; i < MAX_FAILURES_IN_ROW - 1; i++) fail();
  sockets[0]!.emit('message', Buffer.from('one'), {});
  fail();
  assert.deepEqual([sockets[0]!.isOpen, closings], [true, 0], 'those in a row count');
  for (let i = 0; i < MAX_FAILURES_IN_ROW; i++) fail();
  assert.deepEqual([sockets[0]!.isOpen, closings, lasting.current], [false, 1, null]);
  canOpen = false;
  t.mock.timers.tick(REOPEN_MS);
  await settle();
  assert.equal(sockets.length, 1);
  canOpen = true;
  t.mock.timers.tick(REOPEN_MS);
  await settle();
  assert.equal(lasting.current, sockets[1]);
  sockets[1]!.emit('message', Buffer.from('two'), {});
  assert.deepEqual(messages, ['one', 'two']);
  lasting.close();
  assert.equal(sockets[1]!.isOpen, false);
  t.mock.timers.tick(10 * REOPEN_MS);
  await settle();
  assert.equal(sockets.length, 2, 'nothing is opened after the end');
});

test('a descriptor that is no socket ends reading, and is named', () => {
  for (const [path, code] of [
    [tmpdir(), 'EISDIR'],
    [null, 'EBADF'],
  ] as const) {
    const fd = openSync(path ?? tmpdir(), 'r');
    if (path === null) closeSync(fd);
    const reader = new SocketReader(path === null ? 1_000_000 : fd);
    const limit = Error.stackTraceLimit;
    assert.equal(
      reader.read(() => true, '127.0.0.1', 1e6),
      false,
    );
    assert.deepEqual([reader.failure, reader.isEmpty], [code, false]);
    assert.equal(Error.stackTraceLimit, limit);
    if (path !== null) closeSync(fd);
  }
});

test('a file without end of nothing does not hold the thread', () => {
  const fd = openSync('/dev/null', 'r');
  const reader = new SocketReader(fd);
  assert.equal(
    reader.read(() => true, '127.0.0.1', 1e6),
    false,
  );
  closeSync(fd);
});

test('the thread sleeps only where it is asked to', async (t) => {
  let sleeps = 0;
  t.mock.method(Atomics, 'wait', () => {
    sleeps++;
    return 'timed-out';
  });
  const turns = async (sleepMs: number) => {
    let ends = 0;
    const gathering = new PacketGathering(
      () => sleepMs,
      () => ends++,
    );
    for (let i = 0; i < 5; i++) {
      gathering.note(true);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(ends, 5);
  };
  await turns(0);
  assert.equal(sleeps, 0);
  await turns(1);
  assert.equal(sleeps, 5);
});
