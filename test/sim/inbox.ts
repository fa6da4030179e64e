/**
 * A client's group socket: hands packets over at once, unless the processor is busy. Then the
 * kernel keeps as many as its buffer holds, and drops the rest.
 */
import type { Agenda } from './agenda.js';
import type { Random } from './random.js';

/** What the kernel keeps. */
export const SOCKET_BYTES = 128 * 1024;
/** Chance per arrival that the processor then does something else. */
const STUTTER_RATIO = 0.01;

export interface Arrival {
  train: Buffer;
  /** Of the train: start, end, start, end, ... */
  pieces: readonly number[];
  /** Of a packet, but for the last of a piece. */
  packetBytes: number;
  address: string;
}

export class Inbox {
  /** How long, at most, the processor does something else at a time. */
  stutterMs = 0;
  private readonly agenda: Agenda;
  private readonly random: Random;
  private readonly take: (arrival: Arrival) => void;
  private waiting: Arrival[] = [];
  private waitingBytes = 0;
  private busyUntilMs = 0;

  constructor(agenda: Agenda, random: Random, take: (arrival: Arrival) => void) {
    this.agenda = agenda;
    this.random = random;
    this.take = take;
  }

  /** The program ends, and its socket with it. */
  clear(): void {
    this.waiting = [];
    this.waitingBytes = 0;
    this.busyUntilMs = 0;
  }

  arrive(arrival: Arrival): void {
    const { now } = this.agenda;
    if (now < this.busyUntilMs) {
      const { length } = arrival.train;
      if (this.waitingBytes + length > SOCKET_BYTES) return;
      this.waiting.push(arrival);
      this.waitingBytes += length;
      return;
    }
    this.take(arrival);
    if (this.stutterMs > 0 && this.random.chance(STUTTER_RATIO)) {
      this.busyUntilMs = now + this.random.next() * this.stutterMs;
      this.agenda.at(this.busyUntilMs, () => this.drain());
    }
  }

  private drain(): void {
    const waiting = this.waiting;
    this.waiting = [];
    this.waitingBytes = 0;
    for (const arrival of waiting) this.arrive(arrival);
  }
}
