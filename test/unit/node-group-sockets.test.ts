import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { GroupReceiver } from '../../src/node/net/group-socket.js';
import { copyTrain, TrainSender, WAITS } from '../../src/node/net/linux/train-sender.js';
import { chooseInterface } from '../../src/node/net/network-interface.js';
import { openGroupReceiver, openGroupSender } from '../../src/node/net/open-group.js';
import { DatagramSender } from '../../src/node/net/plain/datagram-sender.js';
import type { Native } from '../../src/node/system/native.js';
import { BLOCK_HEADER_BYTES } from '../../src/protocol/block.js';
import { Train } from '../../src/server/stream/train.js';

const GROUP = '239.255.76.71';
const BLOCK_SIZE = 200;
const PACKET_BYTES = BLOCK_HEADER_BYTES + BLOCK_SIZE;

interface Ear {
  receiver: GroupReceiver;
  /** All that came so far, in order. */
  heard(lengthBytes: number): Promise<Buffer>;
  readonly addresses: Set<string>;
}

interface Way {
  how: string;
  offload: boolean;
  ownsProcess: boolean;
  /** Of the first test; the second has the next one. */
  port: number;
}

const WAYS: readonly Way[] = [
  {
    how: 'through the C library where it is there',
    offload: true,
    ownsProcess: true,
    port: 27_101,
  },
  { how: 'through Node alone', offload: false, ownsProcess: true, port: 27_103 },
  { how: "in a process that is another's", offload: false, ownsProcess: false, port: 27_106 },
];

async function listen(port: number, { offload, ownsProcess }: Partial<Way>): Promise<Ear> {
  const parts: Buffer[] = [];
  const addresses = new Set<string>();
  let wake = () => {};
  const chosen = chooseInterface('lo', GROUP);
  const way = { offload: offload ?? false, ownsProcess: ownsProcess ?? true };
  const options = { group: GROUP, port, chosen, ttl: 1, ...way };
  const receiver = await openGroupReceiver(options, {
    onPackets(bytes, start, end, address) {
      parts.push(Buffer.from(bytes.subarray(start, end)));
      addresses.add(address);
      return true;
    },
    onBatch: () => wake(),
    canTake: () => true,
    onNotice: (text) => assert.fail(text),
  });
  const count = () => parts.reduce((sum, part) => sum + part.length, 0);
  return {
    receiver,
    addresses,
    async heard(lengthBytes) {
      while (count() < lengthBytes) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return Buffer.concat(parts);
    },
  };
}

/** @returns a train of blocks of two chunks, gathered or not, and its bytes */
function pack(gathers: boolean) {
  const train = new Train(0x1122334455667788n, BLOCK_SIZE, gathers);
  const out = Buffer.alloc(8192);
  train.begin(out, out.length);
  let position = 7;
  for (const chunk of [3, 4]) {
    const bytes = Buffer.from(Array.from({ length: 1890 }, (_, at) => (at * chunk) & 255));
    const source = { chunk, bytes, encodedLength: 1890, blockCount: 10, encoding: 0, variant: 0 };
    for (let block = chunk === 3 ? 2 : 5; block < (chunk === 3 ? 6 : 10); block++) {
      position = train.add(0, { ...source, encoding: 0 }, block, position);
    }
  }
  return { out, length: train.length, payloads: train.payloads };
}

/** The same train in one piece. */
function wholeTrain(): Buffer {
  const { out, length } = pack(false);
  return out.subarray(0, length);
}

test('a gathered train in one piece is the train that was packed in one piece', () => {
  const { out, length, payloads } = pack(true);
  const whole = Buffer.alloc(length);
  copyTrain(whole, out, length, PACKET_BYTES, payloads!);
  assert.deepEqual(whole, wholeTrain());
});

for (const way of WAYS) {
  const { how, offload, ownsProcess } = way;

  test(`trains and single packets arrive whole and in order, ${how}`, {
    timeout: 20_000,
  }, async () => {
    const { port } = way;
    const ear = await listen(port, way);
    ear.receiver.expect(PACKET_BYTES);
    const chosen = chooseInterface('lo', GROUP);
    const sender = await openGroupSender(
      { group: GROUP, port, chosen, ttl: 1, offload, ownsProcess },
      PACKET_BYTES,
    );
    const { out, length, payloads } = pack(sender.gathers);
    const status = Buffer.alloc(47, 0x33);
    const expected: Buffer[] = [];
    for (let i = 0; i < 5; i++) {
      const train = { bytes: out, length, packetBytes: PACKET_BYTES, payloads };
      const single = { bytes: status, length: 47, packetBytes: 47, payloads: null };
      for (const outgoing of [train, single]) {
        const error = await new Promise((resolve) => sender.send(outgoing, resolve));
        assert.equal(error, null);
      }
      expected.push(wholeTrain(), status);
    }
    const all = Buffer.concat(expected);
    assert.deepEqual(await ear.heard(all.length), all);
    assert.equal(sender.isBusy, false);
    sender.close();
    ear.receiver.close();
  });

  test(`datagrams of any length arrive whole and in order, ${how}`, {
    timeout: 20_000,
  }, async () => {
    const port = way.port + 1;
    const ear = await listen(port, way);
    const socket = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    socket.setMulticastInterface('127.0.0.1');
    const lengths = [100, 3000, 100, 100, 20, 100, 101, 9000, 99, ...new Array(40).fill(100), 7];
    const sent = lengths.map((length, i) => Buffer.alloc(length, i + 1));
    const half = lengths.length >> 1;
    for (const [i, bytes] of sent.entries()) {
      if (i === half) {
        await ear.heard(Buffer.concat(sent.slice(0, i)).length);
        ear.receiver.expect(100);
      }
      await new Promise((resolve) => socket.send(bytes, port, GROUP, resolve));
    }
    const all = Buffer.concat(sent);
    assert.deepEqual(await ear.heard(all.length), all);
    // Once more in one go, so that they lie in the socket together.
    for (const bytes of sent) socket.send(bytes, port, GROUP);
    const twice = Buffer.concat([all, all]);
    assert.deepEqual(await ear.heard(twice.length), twice);
    assert.deepEqual([...ear.addresses], ['127.0.0.1']);
    socket.close();
    ear.receiver.close();
  });
}

/** Sends datagrams of one byte value to the group. */
async function openVoice(port: number) {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  socket.setMulticastInterface('127.0.0.1');
  return {
    say: (value: number, count: number) => {
      const sent = Array.from({ length: count }, () => Buffer.alloc(PACKET_BYTES, value));
      return Promise.all(
        sent.map((bytes) => new Promise((resolve) => socket.send(bytes, port, GROUP, resolve))),
      );
    },
    close: () => socket.close(),
  };
}

test("through Node alone, only the stream's sender is heard, until the stream ends", {
  timeout: 20_000,
}, async () => {
  const port = 27_105;
  const ear = await listen(port, {});
  const [server, stranger] = [await openVoice(port), await openVoice(port)];
  const expected: number[] = [];
  for (let round = 0; round < 30; round++) {
    await server.say(1, 10);
    expected.push(...new Array<number>(10 * PACKET_BYTES).fill(1));
    await ear.heard(expected.length);
    // From here on it is long clear who streams.
    if (round >= 15) await stranger.say(2, 1);
  }
  assert.deepEqual([...(await ear.heard(0))], expected);
  const before = expected.length;
  for (let isHeard = false; !isHeard; ) {
    await stranger.say(2, 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    isHeard = (await ear.heard(0)).length > before;
  }
  assert.equal((await ear.heard(0))[before], 2);
  server.close();
  stranger.close();
  ear.receiver.close();
});

test("in a process that is another's, the thread never sleeps, and errors keep their traces", {
  timeout: 20_000,
}, async (t) => {
  let sleeps = 0;
  t.mock.method(Atomics, 'wait', () => {
    sleeps++;
    return 'timed-out';
  });
  const limit = Error.stackTraceLimit;
  let isKept = true;
  let limitNow = limit;
  Object.defineProperty(Error, 'stackTraceLimit', {
    configurable: true,
    get: () => limitNow,
    set(value: number) {
      isKept = false;
      limitNow = value;
    },
  });
  t.after(() => Object.defineProperty(Error, 'stackTraceLimit', { value: limit, writable: true }));
  for (const [ownsProcess, port] of [
    [false, 27_108],
    [true, 27_109],
  ] as const) {
    const ear = await listen(port, { ownsProcess });
    const server = await openVoice(port);
    for (let sent = 1; sent <= 200; sent++) {
      await server.say(1, 1);
      await ear.heard(sent * PACKET_BYTES);
    }
    server.close();
    ear.receiver.close();
    // What shows nothing in the one case has to show it in the other.
    assert.deepEqual([sleeps > 0, !isKept], [ownsProcess, ownsProcess]);
  }
});

test('without room in the kernel, the rest of a train is left to Node', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'plain-sender-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  // A pipe takes what is written as a socket does, and is full at some point.
  const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const left: Buffer[] = [];
  let ended = (_error: Error | null): void => {};
  const socket = {
    send(bytes: Buffer, at: number, length: number, done?: (error: Error | null) => void) {
      left.push(Buffer.from(bytes.subarray(at, at + length)));
      if (done !== undefined) ended = done;
    },
    close() {},
  };
  const sender = new DatagramSender(socket as unknown as dgram.Socket, fd);
  const train = Buffer.from(Array.from({ length: 10_000 }, (_, at) => at % 251));
  let sends = 0;
  let done = 0;
  while (!sender.isBusy) {
    sends++;
    sender.send(train, train.length, 4096, (error) => {
      assert.equal(error, null);
      done++;
    });
  }
  assert.equal(done, sends - 1);
  const taken = Buffer.alloc(sends * train.length);
  const takenBytes = readSync(fd, taken);
  const whole = Buffer.concat([taken.subarray(0, takenBytes), ...left]);
  assert.deepEqual(whole, Buffer.concat(new Array(sends).fill(train)));
  ended(null);
  assert.deepEqual([sender.isBusy, done], [false, sends]);
  left.length = 0;
  sender.close();
  sender.send(train, train.length, 4096, () => {});
  assert.deepEqual(Buffer.concat(left), train, 'the descriptor may be another file by now');
  closeSync(fd);
});

test('a train that finds the queue full waits, in the order of sends, and says when it is out', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const results: number[] = [0, 11, 105, 0, 1, 11, 5];
  const native = { addressOf: () => 4096n, sendmsg: () => results.shift()! };
  const sender = new TrainSender(native as unknown as Native, 5, 8192);
  const { out, length, payloads } = pack(true);
  const drained: number[] = [];
  const onDrained = (error: number) => drained.push(error);
  const send = () => sender.send(out, length, PACKET_BYTES, payloads, onDrained);
  assert.equal(send(), 0);
  assert.equal(send(), WAITS);
  assert.equal(sender.isBusy, true);
  assert.notEqual(send(), 0, 'nothing overtakes it');
  t.mock.timers.tick(1);
  assert.deepEqual([sender.isBusy, drained], [true, []], 'still no room');
  t.mock.timers.tick(1);
  assert.deepEqual([sender.isBusy, drained], [false, [0]]);
  assert.equal(send(), 1, 'an error of the system is handed on');
  assert.equal(send(), WAITS);
  t.mock.timers.tick(1);
  assert.deepEqual(drained, [0, 5], 'that of a train that waited as well');
  assert.deepEqual(results, []);
});
