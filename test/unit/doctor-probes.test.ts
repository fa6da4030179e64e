import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Check, wrong } from '../../src/doctor/check.js';
import { type Answer, ProbeAnswering } from '../../src/doctor/probe-answering.js';
import { CopyHealth } from '../../src/node/doctor/copy-health.js';
import { wordsOf } from '../../src/node/doctor/running-answers.js';
import { StallClock, StallWatch } from '../../src/node/doctor/stall.js';
import {
  decodeProbeAnswer,
  encodeProbe,
  type Probe,
  ProbeWish,
  probePadding,
} from '../../src/protocol/probe.js';

const WORDS = {
  session: 5n,
  isDoctor: true,
  packetBytes: 1472,
  imageSize: 0,
  port: 16_000,
  group: '225.0.20.10',
  name: 'pc',
};

const probeOf = (wish: Probe['wish'], more: Partial<Probe> = {}): Buffer =>
  encodeProbe({
    client: 1n,
    number: 2,
    wish,
    answerBytes: 0,
    rateBytesPerMs: 0,
    burstPackets: 0,
    paddingLength: probePadding(0),
    ...more,
  });

function bytesOf(answer: Answer | null): Buffer {
  assert(answer !== null && answer.kind !== 'burst');
  return answer.bytes;
}

test('nobody hears of a sealed image who has no key', () => {
  const { isDoctor: _, ...served } = { ...WORDS, name: 'exam.img', imageSize: 123_456 };
  const wishes = [ProbeWish.unicast, ProbeWish.group];
  const answersOf = (isSealed: boolean): Buffer[] =>
    wishes.map((wish) => {
      const words = { ...wordsOf(served, isSealed), isDoctor: false };
      return bytesOf(new ProbeAnswering(words).answer(probeOf(wish), 0));
    });
  for (const bytes of answersOf(true)) {
    const { name, imageSize, session, group } = decodeProbeAnswer(bytes)!;
    assert.deepEqual([name, imageSize], ['', 0]);
    assert.deepEqual([session, group], [WORDS.session, WORDS.group]);
    assert(!bytes.includes('exam'));
  }
  for (const bytes of answersOf(false)) {
    const { name, imageSize } = decodeProbeAnswer(bytes)!;
    assert.deepEqual([name, imageSize], ['exam.img', 123_456]);
  }
});

test('an answer goes the way that was wished, and brings back who asked what', () => {
  const answering = new ProbeAnswering(WORDS);
  for (const kind of ['unicast', 'group'] as const) {
    const answer = answering.answer(probeOf(ProbeWish[kind]), 0);
    assert.equal(answer?.kind, kind);
    const read = decodeProbeAnswer(bytesOf(answer));
    assert.equal(read?.client, 1n);
    assert.equal(read?.number, 2);
    assert.equal(read?.session, 5n);
  }
});

test('property: an answer has at most three times the bytes, and those of a full packet', () => {
  fc.assert(
    fc.property(fc.nat(65_535), fc.nat(3000), (answerBytes, wantedBytes) => {
      const answering = new ProbeAnswering(WORDS);
      const paddingLength = probePadding(wantedBytes);
      const probe = probeOf(ProbeWish.unicast, { answerBytes, paddingLength });
      const { length } = bytesOf(answering.answer(probe, 0));
      assert.ok(length <= 3 * probe.length && length <= WORDS.packetBytes);
      if (answerBytes >= 200 && answerBytes <= Math.min(3 * probe.length, WORDS.packetBytes)) {
        assert.equal(length, answerBytes);
      }
    }),
  );
});

test('so many probes a second are answered, and fewer to the group', () => {
  const countOf = (wish: Probe['wish'], now: number, answering: ProbeAnswering): number =>
    Array.from({ length: 1000 }, () => answering.answer(probeOf(wish), now)).filter(Boolean).length;
  const first = new ProbeAnswering(WORDS);
  assert.equal(countOf(ProbeWish.unicast, 0, first), 400);
  assert.equal(countOf(ProbeWish.unicast, 999, first), 0);
  assert.equal(countOf(ProbeWish.unicast, 1000, first), 400);
  assert.equal(countOf(ProbeWish.group, 0, new ProbeAnswering(WORDS)), 40);
});

test('bursts are bounded, few, and sent by a doctor only', () => {
  const wish = { answerBytes: 1472, rateBytesPerMs: 1e6, burstPackets: 60_000 };
  const probe = probeOf(ProbeWish.burst, wish);
  const running = new ProbeAnswering({ ...WORDS, isDoctor: false });
  assert.equal(running.answer(probe, 0), null);
  const answering = new ProbeAnswering(WORDS);
  const bursts = Array.from({ length: 20 }, (_, i) => answering.answer(probe, i * 1000));
  const sent = bursts.filter((burst) => burst !== null);
  assert.equal(sent.length, 10);
  assert(sent[0]!.kind === 'burst');
  assert.equal(sent[0]!.packets.length, 5000);
  // At a low rate, a burst is as long as its time allows.
  const slow = probeOf(ProbeWish.burst, { ...wish, client: 9n, rateBytesPerMs: 1472 });
  const burst = answering.answer(slow, 0);
  assert(burst?.kind === 'burst');
  assert.equal(burst.packets.length, 100);
  assert.equal(answering.answer(probeOf(ProbeWish.burst, { client: 10n }), 0), null);
});

test('damaged probes are for nobody', () => {
  const probe = probeOf(ProbeWish.unicast);
  probe[30]! ^= 1;
  assert.ok(ProbeAnswering.isProbe(probe));
  assert.equal(new ProbeAnswering(WORDS).answer(probe, 0), null);
  assert.ok(!ProbeAnswering.isProbe(Buffer.alloc(100)));
});

const progressOf = (blocksReceived: number, packetsLost: number) =>
  ({
    state: 'receiving',
    missingChunks: 9,
    blocksReceived,
    packetsLost,
    keptBytes: 0,
    differingBytes: 0,
  }) as Parameters<CopyHealth['look']>[0];

test('a copy is well while blocks come, and not when only a few short ones do', () => {
  const health = new CopyHealth();
  const look = (progress: ReturnType<typeof progressOf>, hasHeard = true): boolean =>
    health.look(progress, hasHeard, true, false);
  assert.equal(look(progressOf(1000, 10)), true);
  assert.equal(look(progressOf(1000, 10)), false);
  assert.equal(look(progressOf(1002, 900)), false);
  assert.equal(look({ ...progressOf(1002, 900), missingChunks: 0 }), true);
  assert.equal(look({ ...progressOf(1002, 900), state: 'checking' }, false), false);
});

test('neither a slow disk nor a server that waits is a stall; one that is not heard is', () => {
  const health = new CopyHealth();
  const still = progressOf(0, 0);
  assert.equal(health.look(still, true, true, true), true, 'packets wait for the disk');
  assert.equal(health.look(still, true, true, false), false);
  for (const state of ['waiting', 'proving'] as const) {
    assert.equal(health.look({ ...still, state }, true, true, false), true, state);
    assert.equal(health.look({ ...still, state }, true, false, false), false, state);
  }
  const checking = { ...still, state: 'checking' } as const;
  assert.equal(health.look(checking, true, true, false), true);
  assert.equal(health.look({ ...checking, keptBytes: 9 }, true, false, false), true);
  assert.equal(health.look({ ...checking, keptBytes: 9 }, true, false, false), false);
  assert.equal(health.look({ ...still, state: 'verifying' }, true, false, false), true);
});

/** What comes of one look, and when it may be told. */
class LookedAt {
  readonly told: string[] = [];
  private finish: ((checks: Check[]) => void) | null = null;
  private readonly watch = new StallWatch(
    () => new Promise((resolve) => this.wait(resolve)),
    () => 'nothing comes',
    (text) => this.told.push(text),
    () => this.atMs,
  );
  private atMs = 0;

  constructor() {
    this.watch.begin();
  }

  private wait(resolve: (checks: Check[]) => void): void {
    this.finish = resolve;
  }

  note(isWell: boolean, atMs: number): void {
    this.atMs = atMs;
    this.watch.note(isWell);
  }

  /** The doctor is done. */
  async find(...checks: Check[]): Promise<void> {
    this.finish?.(checks);
    this.finish = null;
    await new Promise(setImmediate);
  }
}

test('each stall has its cause told once, a new one again, and none that is over', async () => {
  const looked = new LookedAt();
  const gone = wrong(
    'server',
    'the server at 10.9.0.1 does not answer any more',
    'it is waited for',
  );
  looked.note(false, 5000);
  await looked.find(wrong('loss', 'much is lost', 'cables'), gone);
  looked.note(false, 15_000);
  await looked.find(gone);
  const text = 'the server at 10.9.0.1 does not answer any more; it is waited for';
  assert.deepEqual(looked.told, [text]);
  looked.note(true, 20_000);
  looked.note(false, 25_000);
  await looked.find(gone);
  assert.deepEqual(looked.told, [text, text]);
  looked.note(false, 35_000);
  looked.note(true, 37_000);
  await looked.find(wrong('carrier', 'e0 has no carrier', 'look at its cable'));
  assert.equal(looked.told.length, 2);
  looked.note(false, 42_000);
  await looked.find(wrong('carrier', 'e0 has no carrier', 'look at its cable'));
  assert.equal(looked.told.at(-1), 'nothing comes: e0 has no carrier; look at its cable');
});

test('a stall is looked at after five seconds, and then less and less often', () => {
  const clock = new StallClock();
  assert.equal(clock.isDue(false, 1e9), false, 'nothing was to come yet');
  clock.begin(0);
  const due = [];
  for (let at = 0; at <= 100_000; at += 1000) if (clock.isDue(false, at)) due.push(at);
  assert.deepEqual(due, [5000, 15_000, 35_000, 75_000]);
  assert.equal(clock.isDue(true, 101_000), false);
  assert.equal(clock.isDue(false, 106_000), true);
});
