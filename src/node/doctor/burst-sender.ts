/** Sends a burst of packets to the group at a rate, in trains as an image goes; one at a time. */

import type { GroupSender } from '../net/group-socket.js';
import { now } from '../system/clock.js';

/** What half a millisecond carries goes in one train, but a few packets at least. */
const TRAIN_MS = 0.5;

export class BurstSender {
  private readonly sender: GroupSender;
  private readonly packetBytes: number;
  private isBusy = false;

  /** @param packetBytes length of a full packet: only such go in trains */
  constructor(sender: GroupSender, packetBytes: number) {
    this.sender = sender;
    this.packetBytes = packetBytes;
  }

  /** What is asked for while a burst is under way is not sent. @param packets of one length */
  send(packets: readonly Buffer[], rateBytesPerMs: number): void {
    const [first] = packets;
    if (this.isBusy || first === undefined) return;
    this.isBusy = true;
    const { length } = first;
    const mostBytes = Math.min(this.sender.mostTrainBytes, TRAIN_MS * rateBytesPerMs);
    const most = length === this.packetBytes ? Math.max(1, Math.floor(mostBytes / length)) : 1;
    const beginMs = now();
    let next = 0;
    const turn = (): void => {
      while (next < packets.length && !this.sender.isBusy) {
        if (next * length > (now() - beginMs) * rateBytesPerMs) break;
        const train = Buffer.concat(packets.slice(next, next + most));
        next += most;
        const outgoing = { bytes: train, length: train.length, packetBytes: length };
        this.sender.send({ ...outgoing, payloads: null }, () => {});
      }
      if (next < packets.length) setImmediate(turn);
      else this.isBusy = false;
    };
    turn();
  }
}
