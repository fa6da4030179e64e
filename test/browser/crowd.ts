/** Clients that only say what real ones would: a thousand of them from one socket. */
import { createSocket, type Socket } from 'node:dgram';
import {
  ClientState,
  type ClientStateId,
  encodeMapRequest,
  encodeReport,
} from '../../src/protocol/from-client.js';
import { decodeImageDescription, type ImageDescription } from '../../src/protocol/from-server.js';
import type { ClientIdentity } from '../../src/protocol/identity.js';

const REPORT_MS = 1000;
const MAX_AT_ONCE = 50;
const TURNS = 25;

export interface CrowdMember {
  host: string;
  identity?: ClientIdentity;
  /** As it is at a time in seconds since the crowd came. */
  at(seconds: number): {
    state?: ClientStateId;
    progress: number;
    loss?: number;
    isSilent?: boolean;
  };
}

export class Crowd {
  private readonly socket: Socket;
  private readonly port: number;
  private readonly members: readonly CrowdMember[];
  private description: ImageDescription | null = null;
  private readonly answered = new Set<bigint>();
  private readonly received: number[];
  private readonly lost: number[];
  private timer: NodeJS.Timeout | undefined;
  private startMs = 0;

  /** @param port of the server on this machine */
  constructor(port: number, members: readonly CrowdMember[]) {
    this.port = port;
    this.members = members;
    this.received = members.map(() => 0);
    this.lost = members.map(() => 0);
    this.socket = createSocket('udp4');
    this.socket.on('message', (bytes) => {
      const description = decodeImageDescription(bytes);
      if (description === null) return;
      this.description = description;
      this.answered.add(description.client);
    });
  }

  async come(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.bind(0, '127.0.0.1', resolve));
    // A server's socket takes only so many at once: whoever got no answer asks again.
    while (this.answered.size < this.members.length) {
      this.askSome();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.startMs = Date.now();
    let turn = 0;
    this.timer = setInterval(() => this.report(turn++ % TURNS), REPORT_MS / TURNS);
  }

  private askSome(): void {
    const left = [...this.members.keys()].filter((index) => !this.answered.has(BigInt(index + 1)));
    for (const index of left.slice(0, MAX_AT_ONCE)) {
      const client = BigInt(index + 1);
      const { host, identity = {} } = this.members[index]!;
      const request = { client, machine: client, isServer: false, host, identity };
      this.socket.send(encodeMapRequest(request), this.port, '127.0.0.1');
    }
  }

  /** Some of them: all at once would be more than a server's socket takes. */
  private report(turn: number): void {
    const seconds = (Date.now() - this.startMs) / 1000;
    for (const index of this.members.keys()) {
      if (index % TURNS === turn) this.reportOf(index, seconds);
    }
  }

  private reportOf(index: number, seconds: number): void {
    const { session, imageSize, chunkSize, position } = this.description!;
    const {
      state = ClientState.receiving,
      progress,
      loss = 0,
      isSilent,
    } = this.members[index]!.at(seconds);
    if (isSilent === true) return;
    const chunks = Math.ceil(imageSize / chunkSize);
    const isOver = state === ClientState.done;
    const missingChunks = isOver ? 0 : Math.ceil(chunks * (1 - progress));
    this.received[index]! += Math.round(8000 * (1 - loss));
    this.lost[index]! += Math.round(8000 * loss);
    const report = {
      session,
      client: BigInt(index + 1),
      position,
      packetsReceived: this.received[index]!,
      packetsLost: this.lost[index]!,
      clockUs: Math.round(seconds * 1e6) + 1,
      missingChunks,
      provenChunks: isOver ? chunks : chunks - missingChunks,
      receiveBufferBytes: 4_000_000,
      state,
    };
    this.socket.send(encodeReport(report), this.port, '127.0.0.1');
  }

  leave(): void {
    clearInterval(this.timer);
    this.socket.close();
  }
}
