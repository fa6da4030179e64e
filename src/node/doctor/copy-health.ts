/** Whether a copy gets what it is to get, from one look to the next. */
import type { ClientProgress } from '../../client/events.js';

/** With fewer of the packets that were sent, nothing gets done: only short ones may arrive. */
const MIN_SHARE = 0.1;

export class CopyHealth {
  private received = 0;
  private lost = 0;
  private looked = 0;

  /**
   * @param hasHeard something of the stream came at all
   * @param isHeard something of the group came since the last look
   * @param isCrowded packets are left where they are, as the disk is slower
   * @returns whether enough came since the last look, or nothing is to come
   */
  look(progress: ClientProgress, hasHeard: boolean, isHeard: boolean, isCrowded: boolean): boolean {
    const { state, missingChunks, blocksReceived, packetsLost } = progress;
    const received = blocksReceived - this.received;
    const sent = received + packetsLost - this.lost;
    this.received = blocksReceived;
    this.lost = packetsLost;
    const looked = progress.keptBytes + progress.differingBytes;
    const hasLooked = looked > this.looked;
    this.looked = looked;
    // Looking at what the target holds takes its time, and needs the map to come.
    if (state === 'checking') return hasHeard && (isHeard || hasLooked);
    if (isCrowded) return true;
    // A server that waits says so each second, and one whose map is awaited sends that.
    if (state === 'waiting' || state === 'proving') return isHeard;
    if (state !== 'receiving' || missingChunks === 0) return true;
    return received > 0 && received >= MIN_SHARE * sent;
  }
}
