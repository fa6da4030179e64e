/** The packets that pass a host's interface, while they do: as they are, with both addresses. */
import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Address } from '../../src/protocol/address.js';
import { packetLength } from '../../src/protocol/packet.js';
import { Capture } from '../lab/capture.js';
import type { Host } from '../lab/world.js';

export interface Heard {
  bytes: Buffer;
  from: Address;
  to: Address;
}

/** Of a pcap file, and of each frame in it. */
const FILE_HEADER_BYTES = 24;
const FRAME_HEADER_BYTES = 16;
const CAPTURED_OFFSET = 8;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
const READ_BYTES = 1 << 20;
const LOOK_MS = 20;
const PATIENCE_MS = 30_000;

export class Overhearing {
  private readonly packets: Heard[] = [];
  private readonly file: number;
  private at = FILE_HEADER_BYTES;

  private constructor(private readonly capture: Capture) {
    this.file = openSync(capture.path, 'r');
  }

  static async start(host: Host): Promise<Overhearing> {
    return new Overhearing(await Capture.start(host, true));
  }

  /**
   * The first packet that fits, already heard or still to come.
   * @throws Error when none comes for half a minute
   */
  async waitFor(what: string, fits: (heard: Heard) => boolean): Promise<Heard> {
    const endMs = performance.now() + PATIENCE_MS;
    for (let looked = 0; performance.now() < endMs; ) {
      this.read();
      while (looked < this.packets.length) {
        const heard = this.packets[looked++]!;
        if (fits(heard)) return heard;
      }
      await pause(LOOK_MS);
    }
    throw new Error(`${what} was not heard`);
  }

  private read(): void {
    const buffer = Buffer.alloc(READ_BYTES);
    for (;;) {
      const end = readSync(this.file, buffer, 0, READ_BYTES, this.at);
      let at = 0;
      while (at + FRAME_HEADER_BYTES <= end) {
        const next = at + FRAME_HEADER_BYTES + buffer.readUInt32LE(at + CAPTURED_OFFSET);
        if (next > end) break;
        this.takeFrame(buffer.subarray(at + FRAME_HEADER_BYTES, next));
        at = next;
      }
      this.at += at;
      if (at === 0) return;
    }
  }

  /** Of a train, every packet. */
  private takeFrame(frame: Buffer): void {
    const ip = frame.subarray(ETHERNET_BYTES);
    if (ip[0]! >> 4 !== 4) return;
    const udp = ip.subarray((ip[0]! & 15) * 4);
    const addressAt = (offset: number) => ip.subarray(offset, offset + 4).join('.');
    const from = { address: addressAt(12), port: udp.readUInt16BE(0) };
    const to = { address: addressAt(16), port: udp.readUInt16BE(2) };
    const end = ip.readUInt16BE(2) - (ip.length - udp.length);
    for (let at = UDP_BYTES; at < end; ) {
      const length = packetLength(udp, at, end);
      if (length === 0) return;
      this.packets.push({ bytes: Buffer.from(udp.subarray(at, at + length)), from, to });
      at += length;
    }
  }

  async stop(): Promise<void> {
    closeSync(this.file);
    await this.capture.stop();
  }
}
