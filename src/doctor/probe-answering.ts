/**
 * What a server answers to probes. Any running server does, so bounds come first: nobody may have
 * it send much for little, to the group least of all.
 */
import { PacketType, packetLength, packetType } from '../protocol/packet.js';
import {
  decodeProbe,
  encodeProbeAnswer,
  type Probe,
  type ProbeAnswer,
  ProbeWish,
  shortestAnswerBytes,
} from '../protocol/probe.js';

const PROBES_PER_SECOND = 400;
const GROUP_ANSWERS_PER_SECOND = 40;
/** An answer has at most so many times the bytes of its probe. */
const MAX_TIMES = 3;
const MAX_BURST_PACKETS = 5000;
const MAX_BURST_MS = 100;
const MAX_BURSTS = 10;
const MAX_ASKERS = 1000;

/** What an answer says of the server. */
export type ServerWords = Pick<
  ProbeAnswer,
  'session' | 'isDoctor' | 'packetBytes' | 'imageSize' | 'port' | 'group' | 'name'
>;

export type Answer =
  | { kind: 'unicast' | 'group'; bytes: Buffer }
  | { kind: 'burst'; packets: Buffer[]; rateBytesPerMs: number };

/** Counts what happens in a second. */
class PerSecond {
  private readonly most: number;
  private beginMs = Number.NEGATIVE_INFINITY;
  private count = 0;

  constructor(most: number) {
    this.most = most;
  }

  /** @returns whether one more may be */
  take(now: number): boolean {
    if (now - this.beginMs >= 1000) {
      this.beginMs = now;
      this.count = 0;
    }
    this.count++;
    return this.count <= this.most;
  }
}

export class ProbeAnswering {
  private readonly words: ServerWords;
  private readonly all = new PerSecond(PROBES_PER_SECOND);
  private readonly toGroup = new PerSecond(GROUP_ANSWERS_PER_SECOND);
  private readonly bursts = new Map<bigint, number>();

  constructor(words: ServerWords) {
    this.words = words;
  }

  /** Whether a datagram is a probe, sound or not: then it is for nobody else. */
  static isProbe(bytes: Buffer): boolean {
    const { length } = bytes;
    return packetLength(bytes, 0, length) === length && packetType(bytes, 0) === PacketType.probe;
  }

  /** @returns what to send, or null */
  answer(bytes: Buffer, now: number): Answer | null {
    if (!this.all.take(now)) return null;
    const probe = decodeProbe(bytes);
    if (probe === null) return null;
    switch (probe.wish) {
      case ProbeWish.unicast:
        return { kind: 'unicast', bytes: this.bytesFor(probe, bytes.length, 0, 0) };
      case ProbeWish.group:
        if (!this.toGroup.take(now)) return null;
        return { kind: 'group', bytes: this.bytesFor(probe, bytes.length, 0, 0) };
      case ProbeWish.burst:
        return this.burstFor(probe);
    }
  }

  private burstFor(probe: Probe): Answer | null {
    const { client, rateBytesPerMs, answerBytes, burstPackets } = probe;
    const sent = this.bursts.get(client) ?? 0;
    if (!this.words.isDoctor || rateBytesPerMs === 0 || sent >= MAX_BURSTS) return null;
    if (sent === 0 && this.bursts.size >= MAX_ASKERS) return null;
    this.bursts.set(client, sent + 1);
    const packetBytes = Math.max(1, Math.min(answerBytes, this.words.packetBytes));
    const fit = Math.floor((MAX_BURST_MS * rateBytesPerMs) / packetBytes);
    const count = Math.max(1, Math.min(burstPackets, MAX_BURST_PACKETS, fit));
    const packets = Array.from({ length: count }, (_, index) =>
      this.bytesFor(probe, Number.POSITIVE_INFINITY, index, count),
    );
    return { kind: 'burst', packets, rateBytesPerMs };
  }

  private bytesFor(probe: Probe, probeBytes: number, index: number, count: number): Buffer {
    const { client, number, wish, answerBytes } = probe;
    const most = Math.min(MAX_TIMES * probeBytes, this.words.packetBytes);
    const shortest = shortestAnswerBytes(this.words);
    const paddingLength = Math.max(0, Math.min(answerBytes, most) - shortest);
    const words = { ...this.words, client, number, wish, index, count, paddingLength };
    return encodeProbeAnswer(words);
  }
}
