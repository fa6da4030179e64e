/**
 * Sends or reads that fail again and again: when to say so, when to mend it, and when it is over.
 */

/** One failure is nothing: a full queue, an interface that is just switched on. */
const TROUBLE_AFTER_MS = 1000;
const MEND_INTERVAL_MS = 2000;

/** Names that lead nowhere do not come right in a moment. */
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL']);

export type TroubleNews =
  /** Nothing has got out for a while. `isNew`: for another reason than was told before. */
  { kind: 'failing'; code: string; isNew: boolean } | { kind: 'over' };

export class Trouble {
  private sinceMs = Number.NaN;
  private mendDueMs = 0;
  private told: string | null = null;
  /** Length of a packet that failed: that shorter ones come through says nothing. */
  private failedBytes = 0;

  /** A packet of so many bytes came through. @returns news, seldom */
  succeeded(packetBytes: number): TroubleNews | null {
    if (Number.isNaN(this.sinceMs) || packetBytes < this.failedBytes) return null;
    this.sinceMs = Number.NaN;
    if (this.told === null) return null;
    this.told = null;
    return { kind: 'over' };
  }

  /**
   * A packet of so many bytes failed.
   * @param code the system's name for it: EMSGSIZE
   * @returns news, seldom
   */
  failed(code: string, packetBytes: number, now: number): TroubleNews | null {
    if (Number.isNaN(this.sinceMs)) {
      this.sinceMs = now;
      this.failedBytes = packetBytes;
      this.mendDueMs = UNRESOLVED.has(code) ? now : now + TROUBLE_AFTER_MS;
    }
    if (now < this.mendDueMs) return null;
    this.mendDueMs = now + MEND_INTERVAL_MS;
    const isNew = this.told !== code;
    this.told = code;
    return { kind: 'failing', code, isNew };
  }
}

const REASONS: Record<string, string> = {
  EMSGSIZE: 'they are longer than its MTU now; start multiserver again to send shorter ones',
  EIO: 'the network card does not take them',
  EPERM: 'a firewall on this machine forbids them; let them out',
  EACCES: 'a firewall on this machine forbids them; let them out',
  ENETUNREACH: 'there is no route there; look at the addresses and routes of this machine',
  EHOSTUNREACH: 'there is no way there; look at the addresses and routes of this machine',
  ENETDOWN: 'the interface is down; switch it on',
  ENODEV: 'the interface is gone; plug it in again',
  EDESTADDRREQ: 'there is no way there since its address changed; give this machine an address',
  EADDRNOTAVAIL: 'this machine has lost its address; give it one',
  EINVAL: 'this machine has lost its address or its route; give it one',
};

/** @param place where nothing gets to: 'group 225.0.20.10 on interface eth0' */
export function sendTroubleText(place: string, code: string): string {
  if (UNRESOLVED.has(code)) {
    return (
      `${place}: the name cannot be resolved (${code}); look at -s and the name servers. ` +
      'It is tried again'
    );
  }
  return (
    `packets to ${place} cannot be sent: ` +
    `${REASONS[code] ?? `the system refuses them (${code})`}`
  );
}
