/** A network and its clients in a few numbers, to try the server's rate control on. */

import { ClientState } from '../../src/protocol/from-client.js';
import { advancePosition } from '../../src/protocol/position.js';
import { Client, electSentinels } from '../../src/server/clients/client.js';
import { RateController, type RateOptions, ROUND_MS } from '../../src/server/rate.js';

export const PACKET_BYTES = 1000;
const REPORT_MS = 10;

export interface PathOptions {
  /** What the path to this client carries. */
  packetsPerMs: number;
  /** Share of packets that the path loses whatever the rate. */
  ownLoss: number;
  /** Of each second, the path carries nothing for so long. */
  outageMs: number;
  receiveBufferBytes: number;
}

/** One client behind a path that drops what it can't carry. */
class Path {
  options: PathOptions;
  readonly client: Client;
  private sent = 0;
  /** Packets that go through or are lost add up to whole ones over time. */
  private through = 0;
  /** What came while the client was busy waits in its socket's buffer. */
  private unread = 0;
  private busyMs = 0;
  private isOut = false;
  private unseen = 0;

  constructor(id: bigint, options: PathOptions) {
    this.options = options;
    const peer = { address: '10.0.0.1', port: 9000 };
    this.client = new Client(id, id, `client-${id}`, peer, 1000, 0, 0);
  }

  carry(packets: number, now: number): void {
    const { packetsPerMs, ownLoss, outageMs } = this.options;
    this.isOut = now % 1000 < outageMs;
    const came = this.isOut ? 0 : Math.min(packets, packetsPerMs) * (1 - ownLoss);
    // A client learns of its losses by what comes after them.
    if (!this.isOut) {
      this.sent += this.unseen + packets;
      this.unseen = 0;
    } else {
      this.unseen += packets;
    }
    if (this.busyMs > 0) {
      this.busyMs--;
      this.unread += came;
    } else {
      this.through += this.unread + came;
      this.unread = 0;
    }
  }

  /** For so long from now on the client reports, but takes no packets. */
  pause(forMs: number): void {
    this.busyMs = forMs;
  }

  report(now: number, position: number): void {
    // Nothing new to tell.
    if (this.isOut) return;
    this.client.report(
      {
        session: 1n,
        client: this.client.id,
        position,
        packetsReceived: Math.floor(this.through) >>> 0,
        packetsLost: Math.floor(this.sent - this.through - this.unread) >>> 0,
        clockUs: (now * 1000) >>> 0,
        missingChunks: 1000,
        provenChunks: 0,
        receiveBufferBytes: this.options.receiveBufferBytes,
        state: ClientState.receiving,
      },
      position,
      now,
    );
  }
}

/** Virtual time of a server that always has something to send. */
export class Network {
  readonly rate: RateController;
  readonly paths: Path[];
  now = 0;
  sentPackets = 0;
  position = 0;
  private credit = 0;

  constructor(options: Partial<RateOptions>, ...paths: Partial<PathOptions>[]) {
    this.rate = new RateController({
      packetBytes: PACKET_BYTES,
      firstPosition: 0,
      ceilingBytesPerMs: Number.POSITIVE_INFINITY,
      waitForSlow: false,
      ...options,
    });
    this.paths = paths.map((path, index) => {
      const usual = {
        packetsPerMs: 1e6,
        ownLoss: 0,
        outageMs: 0,
        receiveBufferBytes: 64 * 1024 * 1024,
      };
      return new Path(BigInt(index + 1), { ...usual, ...path });
    });
  }

  get packetsPerMs(): number {
    return this.rate.bytesPerMs / PACKET_BYTES;
  }

  clients(): Client[] {
    return this.paths.map((path) => path.client);
  }

  /** @param busyShare how much of what the rate allows there is to send */
  run(forMs: number, busyShare = 1): void {
    const endMs = this.now + forMs;
    for (; this.now < endMs; this.now++) {
      this.credit += this.packetsPerMs * busyShare;
      const packets = Math.floor(this.credit);
      this.credit -= packets;
      this.position = advancePosition(this.position, packets);
      this.sentPackets += packets;
      this.rate.sent(packets * PACKET_BYTES);
      for (const path of this.paths) path.carry(packets, this.now);
      if (this.now % REPORT_MS === 0) {
        for (const path of this.paths) path.report(this.now, this.position);
      }
      if (this.now % ROUND_MS === 0) {
        const sentinels = electSentinels(this.clients(), this.now);
        this.rate.update(this.now, sentinels, this.position);
      }
    }
  }

  /** Runs on, and gives what was sent per ms on average, in packets. */
  measure(forMs: number): number {
    const before = this.sentPackets;
    this.run(forMs);
    return (this.sentPackets - before) / forMs;
  }
}
