/** Finds servers, and what passes between them and this machine. Takes about five seconds. */
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  AskedFacts,
  BurstFacts,
  MtuFacts,
  PathFacts,
  ServerFacts,
} from '../../doctor/facts.js';
import type { Address } from '../../protocol/address.js';
import { ProbeWish } from '../../protocol/probe.js';
import { isIPv6Address } from '../net/family.js';
import { readCounters } from './counters.js';
import type { Asking, Heard, Prober } from './prober.js';

const DISCOVERY_TURN_MS = 200;
const MAX_DISCOVERY_TURNS = 20;
/** After the first answer, others may still come. */
const FURTHER_TURNS = 4;
const PROBE_GAP_MS = 20;
const PROBES = 10;
const GROUP_ANSWERS = 16;
const ANSWER_MS = 400;
/** Sizes that paths are known to end at, and those that are tried between two of them. */
const MTU_STEPS = 8;
const MTU_TURN_MS = 250;
const MIN_MTU_BYTES = 576;
/** Megabits per second. */
const BURST_RATES = [10, 50, 200, 1000];
const BURST_MS = 40;
const BURST_TURN_MS = 100;
const MIN_BURST_TURNS = 3;
const MAX_BURST_TURNS = 8;
/** Fewer come too fast for their time to be told. */
const MANY_PACKETS = 1000;

export interface Target {
  group: string;
  /** Null: servers are looked for by multicast. */
  serverHost: string | null;
  serverPort: number;
  /** Of a copy that began: its server is asked as well. */
  chosenServer: string | null;
}

/** Bytes that IP and UDP put before a payload. */
export const headersOf = (group: string): number => (isIPv6Address(group) ? 48 : 28);

/** What others find out besides is added to it. */
type PathTold = Omit<PathFacts, 'elsewhere' | 'atUsual' | 'askers' | 'key'>;

type BurstAsking = Required<Asking>;

const lossOf = ({ sent, received }: BurstFacts): number => 1 - received / sent;

export class PathProbing {
  private readonly prober: Prober;
  private readonly target: Target;

  constructor(prober: Prober, target: Target) {
    this.prober = prober;
    this.target = target;
  }

  private get groupPlace(): Address {
    return { address: this.target.group, port: this.target.serverPort };
  }

  /** Asks until somebody has answered, and a while longer. @param isOwn what is no other server */
  async discover(turns = MAX_DISCOVERY_TURNS): Promise<ServerFacts[]> {
    const { serverHost, serverPort, chosenServer, group } = this.target;
    const asked = new Set<string>([serverHost ?? group]);
    if (chosenServer !== null) asked.add(chosenServer);
    let further = FURTHER_TURNS;
    for (let turn = 0; turn < turns && further > 0; turn++) {
      for (const address of asked) {
        const wish = turn % 2 === 0 ? ProbeWish.unicast : ProbeWish.group;
        this.prober.ask({ address, port: serverPort }, { wish });
        if (turn < 2) this.prober.ask(this.groupPlace, { wish });
      }
      await sleep(DISCOVERY_TURN_MS);
      // Whoever sends to the group may not hear what is sent there.
      for (const address of this.prober.streams) asked.add(address);
      if (this.prober.heard.length > 0) further--;
    }
    return this.servers();
  }

  private servers(): ServerFacts[] {
    const found = new Map<bigint, ServerFacts>();
    for (const { answer, address, isByGroup } of this.prober.heard) {
      const { session, name, isDoctor, imageSize: imageSizeBytes, group, port } = answer;
      if (found.has(session) && isByGroup) continue;
      const packetBytes = answer.packetBytes + headersOf(this.target.group);
      const facts = { session, name, isDoctor, imageSizeBytes, group, port, packetBytes };
      found.set(session, { address, ...facts });
    }
    return [...found.values()];
  }

  /** All that is learned of the path to one of the servers. */
  async examine(servers: ServerFacts[]): Promise<PathTold> {
    const strangers = [...this.prober.strangers];
    const none = { sent: 0, answered: 0 };
    const [server] = servers;
    if (server === undefined) {
      const asked = { unicast: none, groupOut: none, groupIn: none };
      return { servers, strangers, ...asked, groupPacketsIn: 0, mtu: null, bursts: [] };
    }
    const place = { address: server.address, port: this.target.serverPort };
    const unicast = await this.askFor(() => this.many(place, PROBES, [ProbeWish.unicast]), false);
    const wishes = [ProbeWish.unicast, ProbeWish.group];
    const groupOut = await this.askFor(() => this.many(this.groupPlace, PROBES, wishes));
    const before = readCounters().multicastIn;
    const groupIn = await this.askFor(
      () => this.many(place, GROUP_ANSWERS, [ProbeWish.group]),
      true,
    );
    const groupPacketsIn = readCounters().multicastIn - before;
    const mtu = unicast.answered > 0 ? await this.measureMtu(place, server) : null;
    const isSound = server.isDoctor && groupIn.answered > 0;
    const bursts = isSound ? await this.measureLoss(place, server) : [];
    const all = { servers, unicast, groupOut, groupIn, groupPacketsIn, mtu, bursts };
    return { ...all, strangers: [...this.prober.strangers] };
  }

  private async many(place: Address, count: number, wishes: (0 | 1)[]): Promise<number[]> {
    const numbers: number[] = [];
    for (let i = 0; i < count; i++) {
      numbers.push(this.prober.ask(place, { wish: wishes[i % wishes.length]! }));
      await sleep(PROBE_GAP_MS);
    }
    return numbers;
  }

  private async askFor(ask: () => Promise<number[]>, isByGroup?: boolean): Promise<AskedFacts> {
    const numbers = await ask();
    const count = () => this.prober.countAnswered(numbers, isByGroup);
    if (count() < numbers.length) await sleep(ANSWER_MS);
    return { sent: numbers.length, answered: count() };
  }

  /**
   * Asks for answers of growing length, and then for lengths between those that pass and do not.
   */
  private async measureMtu(place: Address, { packetBytes }: ServerFacts): Promise<MtuFacts> {
    const headersBytes = headersOf(this.target.group);
    let passedBytes = 0;
    let failedBytes = packetBytes + 1;
    let low = Math.min(MIN_MTU_BYTES, packetBytes);
    while (failedBytes - passedBytes > 1 && low < failedBytes) {
      const step = Math.max(1, Math.ceil((failedBytes - 1 - low) / MTU_STEPS));
      const sizes = [low];
      while (sizes.at(-1)! + step < failedBytes) sizes.push(sizes.at(-1)! + step);
      if (!sizes.includes(failedBytes - 1)) sizes.push(failedBytes - 1);
      const passed = await this.largestOf(place, sizes, headersBytes);
      if (passed === 0) break;
      passedBytes = passed;
      failedBytes = sizes.find((size) => size > passed) ?? failedBytes;
      if (failedBytes > packetBytes) break;
      low = passedBytes + 1;
    }
    return { wantedBytes: packetBytes, passedBytes };
  }

  /** @returns the largest size that came; 0 for none */
  private async largestOf(place: Address, sizes: number[], headersBytes: number): Promise<number> {
    const sizeOf = new Map<number, number>();
    // Each three times, as any packet may be lost.
    for (let turn = 0; turn < 3; turn++) {
      for (const size of sizes) {
        const answerBytes = size - headersBytes;
        sizeOf.set(this.prober.ask(place, { wish: ProbeWish.unicast, answerBytes }), size);
      }
      await sleep(MTU_TURN_MS / 3);
    }
    await sleep(MTU_TURN_MS / 3);
    let largest = 0;
    for (const { answer, length } of this.prober.heard) {
      const size = sizeOf.get(answer.number);
      if (size !== undefined && length === size - headersBytes) largest = Math.max(largest, size);
    }
    return largest;
  }

  /** Short bursts at rising rates, until much of one is lost. */
  private async measureLoss(place: Address, { packetBytes }: ServerFacts): Promise<BurstFacts[]> {
    const bursts: BurstFacts[] = [];
    const answerBytes = packetBytes - headersOf(this.target.group);
    for (const megabits of BURST_RATES) {
      const rateBytesPerMs = megabits * 125;
      const burstPackets = Math.max(10, Math.ceil((rateBytesPerMs * BURST_MS) / answerBytes));
      const asking = { wish: ProbeWish.burst, answerBytes, rateBytesPerMs, burstPackets };
      let burst = await this.burst(place, asking);
      // A machine that was busy for a moment loses no second one.
      if (lossOf(burst) > 0) {
        const again = await this.burst(place, asking);
        if (lossOf(again) < lossOf(burst)) burst = again;
      }
      bursts.push(burst);
      if (lossOf(burst) > 0.5) break;
    }
    return bursts;
  }

  private async burst(place: Address, asking: BurstAsking): Promise<BurstFacts> {
    const { answerBytes, rateBytesPerMs, burstPackets } = asking;
    const heard = await this.awaitBurst(this.prober.ask(place, asking));
    const sent = heard[0]?.answer.count ?? burstPackets;
    const received = new Set(heard.map(({ answer }) => answer.index)).size;
    const spentMs = (heard.at(-1)?.atMs ?? 0) - (heard[0]?.atMs ?? 0);
    // A server that is too slow for a rate says nothing of the path at that rate.
    const isMost = received >= MANY_PACKETS && spentMs > 2 * BURST_MS;
    const bytesPerMs = isMost ? (received * answerBytes) / spentMs : rateBytesPerMs;
    return { rateBitsPerSecond: bytesPerMs * 8000, isMost, sent, received };
  }

  /** Waits until all of a burst is there, or no more of it comes. */
  private async awaitBurst(number: number): Promise<Heard[]> {
    let heard: Heard[] = [];
    for (let turn = 0; turn < MAX_BURST_TURNS; turn++) {
      await sleep(BURST_TURN_MS);
      const now = this.prober.heard.filter(({ answer }) => answer.number === number);
      const isOver = now.length === heard.length && (now.length > 0 || turn >= MIN_BURST_TURNS);
      heard = now;
      if (isOver || now.length === (now[0]?.answer.count ?? -1)) break;
    }
    return heard;
  }
}
